// A worker that receives from a ring-fed port and sends everything back, blocking whenever it may.
import { register } from 'tsx/esm/api';
register();
await import('./ring-worker.ts');
