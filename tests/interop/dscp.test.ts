import { describe, expect, it } from 'vitest';
import { runDaemonCase } from '../support/daemon-cases.ts';
import { dscpCases } from '../support/dscp-cases.ts';
import { missing } from '../support/tools.ts';

const skip = missing({
  tools: ['ovsdb-server', 'ovs-vswitchd', 'ovs-vsctl', 'ovs-ofctl', 'python3', 'ss'],
  root: true,
});

/** Only so that a hanging case ends. */
const timeout = 900_000;

describe.skipIf(skip !== null)('the DSCP on the wire is that of the stock daemons', () => {
  it.each(Object.entries(dscpCases))('%s', { timeout }, (_, script) => {
    const stock = runDaemonCase('stock', script);
    expect(stock).not.toBe('');
    expect(runDaemonCase('ours', script)).toBe(stock);
  });
});
