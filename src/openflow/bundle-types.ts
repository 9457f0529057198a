/** Bundles: OpenFlow 1.4 §7.3.9, and the ONF extension EXT-230 for older versions. */

/** OFPBCT_*: what a bundle_control asks for or answers. */
export const BundleControlType = {
  OPEN_REQUEST: 0,
  OPEN_REPLY: 1,
  CLOSE_REQUEST: 2,
  CLOSE_REPLY: 3,
  COMMIT_REQUEST: 4,
  COMMIT_REPLY: 5,
  DISCARD_REQUEST: 6,
  DISCARD_REPLY: 7,
} as const;
/** OFPBF_* flags of a bundle. */
export const BundleFlag = { ATOMIC: 1, ORDERED: 2 } as const;

export interface BundleControl {
  readonly type: 'bundle_control';
  readonly bundleId: number;
  /** `BundleControlType` number. */
  readonly controlType: number;
  /** `BundleFlag` bits. */
  readonly flags: number;
}
export interface BundleAddMessage {
  readonly type: 'bundle_add_message';
  readonly bundleId: number;
  readonly flags: number;
  /** A whole message, whose xid and version are those of the message around it. */
  readonly message: Uint8Array;
}
