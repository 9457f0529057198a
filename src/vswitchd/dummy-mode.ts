import { UsageError } from '../util/errors.ts';

/**
 * --enable-dummy: `plain` adds dummy device and datapath types; `override` lets dummies take the
 * place of every type; `system` of the system types only. As in OVS.
 */
export type DummyMode = 'off' | 'plain' | 'override' | 'system';

export function parseDummyMode(value: string | null): DummyMode {
  if (value !== null && value !== 'override' && value !== 'system')
    throw new UsageError(`${value}: unknown dummy level`);
  return value === 'override' || value === 'system' ? value : 'plain';
}
