import { DpclsChain } from './generated/dpcls-chain';
import { DpclsPort } from './generated/dpcls-port';
import { Packet } from './generated/packet';
import { Subtable } from './generated/subtable';
import { dpclsPortFind, megaflowMatches, subtableHash, subtableProbe } from './dpcls';
import { subtableEntry } from './dpcls-table';
import { free } from './memory';

/**
 * Lookup through the compiled chain of an input port (src/datapath/chain): one call tells for each packet
 * the first subtable whose filter it passes; the tables are then looked up for all packets together. A
 * packet that was let through in vain goes into the chain again, behind that subtable.
 *
 * A chain holds as long as the port's list of subtables is the one it was made for. Only the pmd's thread
 * sets, uses and drops it.
 */
// @ts-ignore: decorator
@inline const PACKETS: usize = 128;
// @ts-ignore: decorator
@inline const HASHES: usize = 512;
// @ts-ignore: decorator
@inline const ENTRIES: usize = 640;
// Behind what dpcls-lookup.ts keeps in pmd.pending; src/datapath/chain/chain.ts knows these too.
// @ts-ignore: decorator
@inline const STARTS: usize = 1024;
// @ts-ignore: decorator
@inline const FOUND: usize = 1152;

/** The chain of a port if it is still good, or 0. */
// @ts-ignore: decorator
@inline
export function chainOf(port: usize): usize {
  const chain: usize = load<u32>(port, DpclsPort.chain);
  if (chain == 0 || load<u32>(chain, DpclsChain.changes) != load<u32>(port, DpclsPort.changes)) return 0;
  return chain;
}

/** Gives n > 0 packets of `pending` their megaflows. Returns subtables seen by those that hit. */
export function chainLookup(chain: usize, pending: usize, n: u32): u32 {
  const order = chain + DpclsChain.SIZE - 4;
  let seen: u32 = 0;
  memory.fill(pending + STARTS, 0, n << 2);
  do {
    call_indirect<void>(load<u32>(chain, DpclsChain.code), pending, n);
    const candidates = takeCandidates(order, pending, n);
    n = 0;
    for (let i: usize = 0; i < <usize>candidates; i++) {
      const at = pending + (i << 2);
      const key: usize = load<u32>(at);
      const place = load<u32>(at, STARTS);
      const subtable: usize = load<u32>(order + (<usize>place << 2));
      const hash = load<u32>(at, HASHES);
      const entry = load<u64>(pending + (i << 3), ENTRIES);
      let mf = <usize>(entry >>> 32);
      if (<u32>entry != hash || mf == 0 || !megaflowMatches(subtable, mf, key)) {
        mf = subtableProbe(subtable, load<u32>(subtable, Subtable.table), entry, hash, key);
      }
      const packet = load<u32>(at, PACKETS);
      if (mf != 0) {
        store<u32>(<usize>packet, <u32>mf, Packet.megaflow);
        store<u32>(subtable, load<u32>(subtable, Subtable.hits) + 1, Subtable.hits);
        seen += place;
        continue;
      }
      const to = pending + (<usize>n << 2);
      store<u32>(to, <u32>key);
      store<u32>(to, packet, PACKETS);
      store<u32>(to, place, STARTS);
      n++;
    }
  } while (n > 0);
  return seen;
}

/** Moves the packets for which a subtable was found to the front, with hashes and table entries. */
function takeCandidates(order: usize, pending: usize, n: u32): u32 {
  let count: u32 = 0;
  for (let at = pending, end = pending + (<usize>n << 2); at < end; at += 4) {
    const place = load<u32>(at, FOUND);
    if (place == 0) continue;
    const key: usize = load<u32>(at);
    const subtable: usize = load<u32>(order + (<usize>place << 2));
    const hash = subtableHash(subtable, key);
    const to = pending + (<usize>count << 2);
    store<u32>(to, <u32>key);
    store<u32>(to, load<u32>(at, PACKETS), PACKETS);
    store<u32>(to, place, STARTS);
    store<u32>(to, hash, HASHES);
    store<u64>(pending + (<usize>count << 3), subtableEntry(load<u32>(subtable, Subtable.table), hash), ENTRIES);
    count++;
  }
  return count;
}

/**
 * Gives a port a chain (owned by the port from now on), or none with 0. False if the subtables have changed
 * since it was made, or there is no such port: then it stays the caller's. The pmd's thread.
 */
export function pmdSetChain(pmd: usize, inPort: u32, chain: usize): bool {
  const port = dpclsPortFind(pmd, inPort);
  if (port == 0) return false;
  if (chain != 0 && load<u32>(chain, DpclsChain.changes) != load<u32>(port, DpclsPort.changes)) return false;
  free(load<u32>(port, DpclsPort.chain));
  store<u32>(port, <u32>chain, DpclsPort.chain);
  return true;
}
