import { describe, expect, it } from 'vitest';
import { daemonCases, rootCases, runDaemonCase } from '../support/daemon-cases.ts';
import { isRoot, missing } from '../support/tools.ts';

const skip = missing({ tools: ['ovsdb-server', 'ovs-appctl', 'ovsdb-tool', 'ps'] });

/** Only so that a hanging case ends; a busy machine needs long for the many starts of a case. */
const timeout = 900_000;

describe.skipIf(skip !== null)('daemons behave as the stock ones', () => {
  const all = Object.entries(daemonCases);
  it.each(isRoot ? [...all, ...Object.entries(rootCases)] : all)('%s', { timeout }, (_, script) => {
    const stock = runDaemonCase('stock', script);
    expect(stock).not.toBe('');
    expect(runDaemonCase('ours', script)).toBe(stock);
  });
});
