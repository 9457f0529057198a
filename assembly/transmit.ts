import { alignedFree } from './aligned';
import { alloc, free } from './memory';
import { memoryTransmit } from './port-memory';
import { FAST_PORT_XSK, xskTransmit } from './port-xsk';
import { Pmd } from './generated/pmd';
import { TxPort } from './generated/tx-port';

/**
 * The transmit lists of a pmd: one record for each port it ever sent to, kept with its list; those
 * with packets of this burst are linked from pmd.txFirst in order of first use.
 *
 * Ports whose `sink` is set are sent on by `transmitSinks`, in WebAssembly; the others by JavaScript.
 */
// @ts-ignore: decorator
@inline const TX_FIRST: u32 = 64;
// @ts-ignore: decorator
@inline const PAGES: usize = 256;

/** The port's record, made if need be; 0 when memory is used up or there can be no such port. */
// @ts-ignore: decorator
@inline
export function txPort(pmd: usize, port: u32): usize {
  if (port < 0x10000) {
    const page = <usize>load<u32>(<usize>load<u32>(pmd, Pmd.txMap) + ((<usize>port >>> 8) << 2));
    if (page != 0) {
      const record = <usize>load<u32>(page + ((<usize>port & 255) << 2));
      if (record != 0) return record;
    }
  }
  return txPortNew(pmd, port);
}

function txPortNew(pmd: usize, port: u32): usize {
  if (port >= 0x10000) return 0;
  const at = <usize>load<u32>(pmd, Pmd.txMap) + ((<usize>port >>> 8) << 2);
  let page = <usize>load<u32>(at);
  if (page == 0) {
    page = alloc(<u32>PAGES << 2);
    if (page == 0) return 0;
    store<u32>(at, <u32>page);
  }
  const record = alloc(<u32>TxPort.SIZE);
  const list = alloc(TX_FIRST << 2);
  if (record == 0 || list == 0) {
    free(record);
    free(list);
    return 0;
  }
  store<u32>(record, port, TxPort.port);
  store<u32>(record, <u32>list, TxPort.list);
  store<u32>(record, TX_FIRST, TxPort.capacity);
  store<u32>(page + ((<usize>port & 255) << 2), <u32>record);
  return record;
}

/** Makes room for n more packets and links the record; where they go, 0 when memory is used up. */
// @ts-ignore: decorator
@inline
export function txReserve(pmd: usize, record: usize, n: u32): usize {
  const held = load<u32>(record, TxPort.count);
  if (held + n > load<u32>(record, TxPort.capacity) && !txGrow(record, held + n)) return 0;
  if (load<u32>(record, TxPort.linked) == 0) {
    store<u32>(record, 1, TxPort.linked);
    const last = <usize>load<u32>(pmd, Pmd.txLast);
    store<u32>(record, 0, TxPort.nextActive);
    if (last == 0) store<u32>(pmd, <u32>record, Pmd.txFirst);
    else store<u32>(last, <u32>record, TxPort.nextActive);
    store<u32>(pmd, <u32>record, Pmd.txLast);
  }
  store<u32>(record, held + n, TxPort.count);
  return <usize>load<u32>(record, TxPort.list) + (<usize>held << 2);
}

function txGrow(record: usize, need: u32): bool {
  let capacity = load<u32>(record, TxPort.capacity);
  const old: usize = load<u32>(record, TxPort.list);
  const used = capacity;
  while (capacity < need) capacity <<= 1;
  const list = alloc(capacity << 2);
  if (list == 0) return false;
  memory.copy(list, old, <usize>used << 2);
  free(old);
  store<u32>(record, <u32>list, TxPort.list);
  store<u32>(record, capacity, TxPort.capacity);
  return true;
}

/** Forgets what is queued. */
export function txClear(pmd: usize): void {
  let record: usize = load<u32>(pmd, Pmd.txFirst);
  if (record == 0) return;
  let ports: u32 = 0;
  for (; record != 0; record = load<u32>(record, TxPort.nextActive)) {
    unlink(record);
    ports++;
  }
  store<u32>(pmd, 0, Pmd.txFirst);
  store<u32>(pmd, 0, Pmd.txLast);
  countBatches(pmd, ports);
}

/**
 * Says how the pmd sends on a port: `sink` is the record of a kind that core.wasm knows, 0 = JavaScript
 * sends. False when memory is used up. The pmd's thread, between bursts.
 */
export function pmdSetSink(pmd: usize, port: u32, sink: usize): bool {
  const record = txPort(pmd, port);
  if (record == 0) return false;
  store<u32>(record, <u32>sink, TxPort.sink);
  return true;
}

/** Sends on a port of a kind that core.wasm knows; true = the kernel must be told by a system call. */
// @ts-ignore: decorator
@inline
function mustKick(sink: usize, list: usize, count: u32): bool {
  if (load<u32>(sink) == FAST_PORT_XSK) return xskTransmit(sink, list, count);
  memoryTransmit(sink, list, count);
  return false;
}

/**
 * Sends what is queued to ports with a sink, and takes these out; true = ports are left for JavaScript: those
 * without a sink, and with an empty list those that only need a kick.
 */
export function pmdSendSinks(pmd: usize): bool {
  let record: usize = load<u32>(pmd, Pmd.txFirst);
  let last: usize = 0;
  let sent: u32 = 0;
  store<u32>(pmd, 0, Pmd.txFirst);
  while (record != 0) {
    const next: usize = load<u32>(record, TxPort.nextActive);
    const sink: usize = load<u32>(record, TxPort.sink);
    const held = load<u32>(record, TxPort.count);
    if (sink != 0 && held != 0 && !mustKick(sink, load<u32>(record, TxPort.list), held)) {
      unlink(record);
      sent++;
    } else {
      // With a sink, all that is left is the kick.
      if (sink != 0) store<u32>(record, 0, TxPort.count);
      store<u32>(last == 0 ? pmd + Pmd.txFirst : last + TxPort.nextActive, <u32>record);
      last = record;
    }
    record = next;
  }
  if (last != 0) store<u32>(last, 0, TxPort.nextActive);
  store<u32>(pmd, <u32>last, Pmd.txLast);
  countBatches(pmd, sent);
  return last != 0;
}

// @ts-ignore: decorator
@inline
function unlink(record: usize): void {
  store<u32>(record, 0, TxPort.count);
  store<u32>(record, 0, TxPort.linked);
}

// @ts-ignore: decorator
@inline
function countBatches(pmd: usize, ports: u32): void {
  store<f64>(pmd, load<f64>(pmd, Pmd.txBatches) + <f64>ports, Pmd.txBatches);
}

/** Frees all records. */
export function txFree(pmd: usize): void {
  const map: usize = load<u32>(pmd, Pmd.txMap);
  if (map == 0) return;
  for (let i: usize = 0; i < PAGES; i++) {
    const page: usize = load<u32>(map + (i << 2));
    if (page == 0) continue;
    for (let k: usize = 0; k < 256; k++) {
      const record: usize = load<u32>(page + (k << 2));
      if (record == 0) continue;
      free(load<u32>(record, TxPort.list));
      free(record);
    }
    free(page);
  }
  alignedFree(map);
}
