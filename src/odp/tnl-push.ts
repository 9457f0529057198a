import { formatIpv4, formatIpv6, formatMac } from '../wire/address.ts';
import { be16, be32, hexPadded } from '../flow/numbers-text.ts';
import { le32 } from './attributes.ts';

/**
 * The tnl_push action of the userspace datapath: OVS's `struct ovs_action_push_tnl`:
 *
 *     0 tnl_port u32 | 4 out_port u32 | 8 header_len u32 | 12 tnl_type u32 | 16 header[512]
 *
 * The header is a ready-made outer packet header (Ethernet, IP, UDP or GRE, tunnel).
 */
const TNL_PUSH_HEADER_AT = 16;

export function formatTnlPush(p: Uint8Array, portName: (port: number) => string): string {
  if (p.length < TNL_PUSH_HEADER_AT) return 'tnl_push(bad length)';
  const size = le32(p, 8);
  const header = p.subarray(
    TNL_PUSH_HEADER_AT,
    TNL_PUSH_HEADER_AT + Math.min(size, p.length - TNL_PUSH_HEADER_AT),
  );
  return (
    `tnl_push(tnl_port(${portName(le32(p, 0))}),header(size=${size},type=${le32(p, 12)},` +
    `${formatOuter(header)}),out_port(${portName(le32(p, 4))}))`
  );
}

function formatOuter(h: Uint8Array): string {
  if (h.length < 34) return '';
  const type = be16(h, 12);
  let s = `eth(dst=${formatMac(h, 0)},src=${formatMac(h, 6)},dl_type=${hexPadded(type, 4)}),`;
  let l4 = 34;
  if (type === 0x86dd) {
    if (h.length < 54) return s;
    const word = be32(h, 14);
    s +=
      `ipv6(src=${formatIpv6(h, 22)},dst=${formatIpv6(h, 38)},label=${word & 0xfffff},proto=${h[20] ?? 0},` +
      `tclass=0x${((word >>> 20) & 255).toString(16)},hlimit=${h[21] ?? 0}),`;
    l4 = 54;
  } else {
    const frag = be16(h, 20);
    s +=
      `ipv4(src=${formatIpv4(h, 26)},dst=${formatIpv4(h, 30)},proto=${h[23] ?? 0},tos=${(h[15] ?? 0) === 0 ? '0' : `0x${(h[15] ?? 0).toString(16)}`},` +
      `ttl=${h[22] ?? 0},frag=0x${frag.toString(16)}),`;
  }
  const proto = type === 0x86dd ? h[20] : h[23];
  if (proto === 17 && h.length >= l4 + 8) {
    s += `udp(src=${be16(h, l4)},dst=${be16(h, l4 + 2)},csum=0x${be16(h, l4 + 6).toString(16)}),`;
    if (h.length >= l4 + 16) {
      if (be16(h, l4 + 2) === 6081)
        s += `geneve(${(h[l4 + 8] ?? 0) & 0x80 ? 'oam,' : ''}vni=0x${(be32(h, l4 + 12) >>> 8).toString(16)})`;
      else
        s += `vxlan(flags=0x${be32(h, l4 + 8).toString(16)},vni=0x${(be32(h, l4 + 12) >>> 8).toString(16)})`;
    }
  } else if (proto === 47 && h.length >= l4 + 4) {
    s += `gre((flags=0x${be16(h, l4).toString(16)},proto=0x${be16(h, l4 + 2).toString(16)}))`;
  }
  return s;
}
