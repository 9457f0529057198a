import { hostWorker } from '../threads/worker-host.ts';

/** Entry of a `handlerN` thread: serves upcalls of kernel datapaths, and sleeps while there is none. */
hostWorker(() => ({
  wakeAtMs: Infinity,
  step: () => 0,
  request: (method) => {
    throw new Error(`unknown request ${method}`);
  },
  close: () => undefined,
}));
