import type { OdpKeyFormat } from './key-format.ts';
import { formatOdpAttributes } from './key-format.ts';
import { odpKeyToNetlink, odpMaskToNetlink } from './key-netlink.ts';

/**
 * A flow and its mask as `dpctl/dump-flows` prints them.
 *
 * @param flow Key with the datapath's in_port.
 * @param mask Undefined to print every field of the flow exactly.
 */
export function formatOdpKey(
  flow: Uint8Array,
  mask: Uint8Array | undefined,
  options: OdpKeyFormat = {},
): string {
  return formatOdpAttributes(
    odpKeyToNetlink(flow),
    mask === undefined ? undefined : odpMaskToNetlink(mask, flow),
    options,
  );
}
