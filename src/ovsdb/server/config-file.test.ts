import { describe, expect, it } from 'vitest';
import { parseConfig } from './config-file.ts';

const database = (json: unknown): string => JSON.stringify({ databases: { d: json } });
const source = { 'unix:a': null };

describe('a configuration file', () => {
  it('is parsed', () => {
    const text = JSON.stringify({
      remotes: {
        'ptcp:0': { 'inactivity-probe': 0, 'max-backoff': 2000, 'read-only': true, role: 'r', dscp: 48 },
        'punix:s': null,
      },
      databases: {
        'a.db': {},
        'b.db': null,
        'c.db': { 'service-model': 'standalone' },
        'd.db': { 'service-model': 'active-backup', backup: false },
        'e.db': {
          'service-model': 'active-backup',
          backup: true,
          source: { 'tcp:h:1,tcp:h:2': { 'inactivity-probe': 9 } },
          'exclude-tables': ['x', 'e:y', 'x'],
        },
        r: { 'service-model': 'relay', source },
      },
    });
    const none = { model: null, source: null, excludeTables: '', isBackup: false };
    expect(parseConfig(text)).toEqual({
      remotes: [
        { target: 'ptcp:0', probeIntervalMs: 0, maxBackoffMs: 2000, isReadOnly: true, role: 'r', dscp: 48 },
        { target: 'punix:s' },
      ],
      databases: new Map<string, unknown>([
        ['a.db', none],
        ['b.db', none],
        ['c.db', { ...none, model: 'standalone' }],
        ['d.db', { ...none, model: 'active-backup' }],
        [
          'e.db',
          {
            model: 'active-backup',
            source: { target: 'tcp:h:1,tcp:h:2', probeIntervalMs: 9 },
            excludeTables: 'x,e:y',
            isBackup: true,
          },
        ],
        ['r', { ...none, model: 'relay', source: { target: 'unix:a' } }],
      ]),
    });
    expect(parseConfig('{}')).toEqual({ remotes: [], databases: new Map() });
    expect(parseConfig('{"remotes":null,"databases":null}').remotes).toEqual([]);
  });

  it.each([
    ['{', 'config: reading JSON failed (line'],
    ['[]', 'configuration in a file must be a JSON object'],
    ['{"remotes":1}', "config: 'remotes' is not a JSON object or null\nconfig: failed to parse 'remotes'"],
    ['{"remotes":{"x":[]}}', 'x: JSON-RPC options are not a JSON object or null\n'],
    ['{"databases":[]}', "config: 'databases' is not a JSON object or null"],
    [database(1), 'Parsing database d failed: Object expected.'],
    [database({ 'service-model': 1 }), "Type mismatch for member 'service-model'."],
    [database({ 'service-model': 'x' }), "Parsing database d failed: 'x' is not a valid service model"],
    [database({ source }), "Parsing database d failed: Member 'source' is present but not allowed here."],
    [database({ 'service-model': 'standalone', source }), "Member 'source' is present but not allowed here."],
    [database({ 'service-model': 'relay' }), "Required 'source' member is missing."],
    [database({ 'service-model': 'relay', source: 1 }), "Type mismatch for member 'source'."],
    [
      database({ 'service-model': 'relay', source: {} }),
      "'source' should be an object with exactly one element",
    ],
    [
      database({ 'service-model': 'relay', source: { a: null, b: null } }),
      "'source' should be an object with exactly one element",
    ],
    [
      database({ 'service-model': 'relay', source: { a: 1 } }),
      'JSON-RPC options is not a JSON object or null',
    ],
    [
      database({ 'service-model': 'relay', source, backup: true }),
      "Member 'backup' is present but not allowed",
    ],
    [database({ 'service-model': 'active-backup', source }), "Required 'backup' member is missing."],
    [database({ 'service-model': 'active-backup', backup: 1 }), "Type mismatch for member 'backup'."],
    [database({ 'service-model': 'active-backup', backup: true }), "Required 'source' member is missing."],
    [
      database({ 'service-model': 'active-backup', backup: false, 'exclude-tables': [1] }),
      "'exclude-tables' must contain strings",
    ],
    [
      database({ 'service-model': 'active-backup', backup: false, 'exclude-tables': 'x' }),
      "Type mismatch for member 'exclude-tables'.",
    ],
  ])('%s is refused', (text, message) => {
    expect(() => parseConfig(text)).toThrow(message);
  });

  it('goes on with the options of a connection that are good', () => {
    const text = '{"remotes":{"x":{"max-backoff":"y","inactivity-probe":7,"nope":1}}}';
    expect(parseConfig(text).remotes).toEqual([{ target: 'x', probeIntervalMs: 7 }]);
  });
});
