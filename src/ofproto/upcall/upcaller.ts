/**
 * Upcalls of the userspace datapath, on the PMD thread.
 *
 *   new Upcaller({ core, pmd, udpif, events, clock, snapshot? })
 *   upcaller.run(nowMs)    after each pmdProcess: handles pmd.misses and userspace actions
 */
export interface UpcallerApi {
  /** Translates, installs and executes every miss, sends every userspace action on its way. @returns upcalls handled */
  run(nowMs: number): number;
}
