import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { WireError } from '../util/errors.ts';
import { NetlinkWriter, netlinkAttributes, netlinkMessages, readString, readU32 } from './message.ts';
import { decodeLink, dumpLinks, getLink } from './rtnetlink.ts';

describe('netlink messages', () => {
  it('come back as they were written', () => {
    const attributes = fc.array(
      fc.tuple(fc.integer({ min: 1, max: 0x3fff }), fc.uint8Array({ maxLength: 300 })),
      { maxLength: 20 },
    );
    fc.assert(
      fc.property(attributes, fc.uint8Array({ minLength: 16, maxLength: 16 }), (list, fixed) => {
        const writer = new NetlinkWriter().begin(18, 5, 77).fixed(fixed);
        for (const [type, payload] of list) writer.attribute(type, payload);
        const [message, ...others] = [...netlinkMessages(writer.finish())];
        expect(others).toEqual([]);
        expect(message).toMatchObject({ type: 18, flags: 5, sequence: 77 });
        const payload = message?.payload ?? new Uint8Array(0);
        expect(payload.subarray(0, 16)).toEqual(fixed);
        expect([...netlinkAttributes(payload.subarray(16))]).toEqual([...new Map(list)]);
      }),
    );
  });
  it('nests', () => {
    const bytes = new NetlinkWriter()
      .begin(1, 0, 0)
      .nested(18, (w) => w.string(1, 'veth').u32(2, 7))
      .finish();
    const [message] = [...netlinkMessages(bytes)];
    const nested = netlinkAttributes(netlinkAttributes(message?.payload ?? bytes).get(18) ?? bytes);
    expect(readString(nested.get(1))).toBe('veth');
    expect(readU32(nested.get(2), 0)).toBe(7);
  });
  it('throw nothing but WireError for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          for (const message of netlinkMessages(bytes)) decodeLink(message.payload);
          decodeLink(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(WireError);
        }
      }),
    );
  });
});

describe('rtnetlink', () => {
  it('knows the loopback device', () => {
    const lo = getLink('lo');
    expect(lo).toMatchObject({ name: 'lo', isEthernet: false });
    expect(dumpLinks().some((l) => l.ifindex === lo?.ifindex && l.name === 'lo')).toBe(true);
    expect(getLink('no-such-device')).toBeNull();
  });
});
