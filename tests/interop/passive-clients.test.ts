import { describe, expect, it } from 'vitest';
import { runDaemonCase } from '../support/daemon-cases.ts';
import { passiveCases } from '../support/passive-cases.ts';
import { missing } from '../support/tools.ts';

const skip = missing({ tools: ['ovsdb-server', 'ovs-vsctl', 'ovs-appctl', 'openssl', 'python3'] });

/** Only so that a hanging case ends. */
const timeout = 900_000;

describe.skipIf(skip !== null)('clients that listen do as the stock ones', () => {
  it.each(Object.entries(passiveCases))('%s', { timeout }, (_, script) => {
    const stock = runDaemonCase('stock', script);
    expect(stock).not.toBe('');
    expect(runDaemonCase('ours', script)).toBe(stock);
  });
});
