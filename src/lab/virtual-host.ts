import { checksum } from '../wire/checksum.ts';

/**
 * A host on a virtual wire: answers ARP, ICMP echo and UDP echo, and asks others on demand.
 *
 * For demonstrations and tests without root: its frames are real bytes and go the same way through
 * the switch as a machine's. Frames too short or of other protocols are ignored.
 */
export interface VirtualHostOptions {
  readonly name: string;
  /** Six bytes. */
  readonly mac: Uint8Array;
  /** Four bytes. */
  readonly ip: Uint8Array;
  /** Puts a frame on the wire. */
  readonly send: (frame: Uint8Array) => void;
}

export interface HostCounters {
  sent: number;
  received: number;
  echoRequests: number;
  echoReplies: number;
  udpSent: number;
  udpEchoed: number;
}

const ETH_ARP = 0x0806;
const ETH_IPV4 = 0x0800;
const PROTO_ICMP = 1;
const PROTO_UDP = 17;
const ECHO_PORT = 7;
const broadcast = new Uint8Array(6).fill(0xff);
const $probes = new TextEncoder().encode('megaflow lab');

export class VirtualHost {
  readonly name: string;
  readonly mac: Uint8Array;
  readonly ip: Uint8Array;
  readonly counters: HostCounters = {
    sent: 0,
    received: 0,
    echoRequests: 0,
    echoReplies: 0,
    udpSent: 0,
    udpEchoed: 0,
  };
  readonly #send: (frame: Uint8Array) => void;
  /** Neighbours by address text. */
  readonly #neighbours = new Map<string, Uint8Array>();
  #sequence = 0;

  constructor(options: VirtualHostOptions) {
    this.name = options.name;
    this.mac = options.mac;
    this.ip = options.ip;
    this.#send = options.send;
  }

  /** Sends an ICMP echo request, or first asks for the address: then the next call sends it. */
  ping(ip: Uint8Array): void {
    const body = new Uint8Array(8 + $probes.length);
    const sequence = (this.#sequence = (this.#sequence + 1) & 0xffff);
    body.set([8, 0, 0, 0, 0, 1, sequence >> 8, sequence & 0xff]);
    body.set($probes, 8);
    putU16(body, 2, checksum(body, 0, body.length));
    if (this.#sendIp(ip, PROTO_ICMP, body)) this.counters.echoRequests++;
  }

  /** Sends a datagram to the UDP echo service (RFC 862) of another host. */
  sendUdpEcho(ip: Uint8Array, sourcePort: number): void {
    if (this.#sendIp(ip, PROTO_UDP, udpSegment(this.ip, ip, sourcePort, ECHO_PORT, $probes)))
      this.counters.udpSent++;
  }

  /** A frame from the wire; the array is only read during the call. */
  receive(frame: Uint8Array): void {
    if (frame.length < 14) return;
    const destination = frame.subarray(0, 6);
    if (!equal(destination, this.mac) && !equal(destination, broadcast)) return;
    this.counters.received++;
    const type = u16(frame, 12);
    if (type === ETH_ARP) this.#receiveArp(frame);
    else if (type === ETH_IPV4) this.#receiveIp(frame);
  }

  #receiveArp(frame: Uint8Array): void {
    if (frame.length < 42 || !equal(frame.subarray(38, 42), this.ip)) return;
    const senderMac = frame.slice(22, 28);
    const senderIp = frame.slice(28, 32);
    this.#neighbours.set(senderIp.join('.'), senderMac);
    if (u16(frame, 20) === 1) this.#transmit(this.#arp(2, senderMac, senderIp));
  }

  #receiveIp(frame: Uint8Array): void {
    if (frame.length < 34) return;
    const headerLength = ((frame[14] ?? 0) & 15) * 4;
    const end = 14 + u16(frame, 16);
    const at = 14 + headerLength;
    if (headerLength < 20 || end > frame.length || at + 8 > end || !equal(frame.subarray(30, 34), this.ip))
      return;
    const source = frame.slice(26, 30);
    const body = frame.slice(at, end);
    const protocol = frame[23];
    if (protocol === PROTO_ICMP && body[0] === 8) {
      body[0] = 0;
      putU16(body, 2, 0);
      putU16(body, 2, checksum(body, 0, body.length));
      this.#reply(frame, source, PROTO_ICMP, body);
    } else if (protocol === PROTO_ICMP && body[0] === 0) this.counters.echoReplies++;
    else if (protocol === PROTO_UDP && u16(body, 2) === ECHO_PORT) {
      this.#reply(
        frame,
        source,
        PROTO_UDP,
        udpSegment(this.ip, source, ECHO_PORT, u16(body, 0), body.subarray(8)),
      );
    } else if (protocol === PROTO_UDP && u16(body, 0) === ECHO_PORT) this.counters.udpEchoed++;
  }

  #reply(request: Uint8Array, ip: Uint8Array, protocol: number, body: Uint8Array): void {
    this.#transmit(this.#ipFrame(request.slice(6, 12), ip, protocol, body));
  }

  /** @returns false when the neighbour had to be asked for first. */
  #sendIp(ip: Uint8Array, protocol: number, body: Uint8Array): boolean {
    const mac = this.#neighbours.get(ip.join('.'));
    if (mac === undefined) {
      this.#transmit(this.#arp(1, broadcast, ip));
      return false;
    }
    this.#transmit(this.#ipFrame(mac, ip, protocol, body));
    return true;
  }

  #arp(operation: number, targetMac: Uint8Array, targetIp: Uint8Array): Uint8Array {
    const frame = new Uint8Array(60);
    frame.set(targetMac, 0);
    frame.set(this.mac, 6);
    putU16(frame, 12, ETH_ARP);
    frame.set([0, 1, 8, 0, 6, 4, 0, operation], 14);
    frame.set(this.mac, 22);
    frame.set(this.ip, 28);
    if (operation === 2) frame.set(targetMac, 32);
    frame.set(targetIp, 38);
    return frame;
  }

  #ipFrame(mac: Uint8Array, ip: Uint8Array, protocol: number, body: Uint8Array): Uint8Array {
    const frame = new Uint8Array(Math.max(60, 34 + body.length));
    frame.set(mac, 0);
    frame.set(this.mac, 6);
    putU16(frame, 12, ETH_IPV4);
    frame[14] = 0x45;
    putU16(frame, 16, 20 + body.length);
    frame[22] = 64;
    frame[23] = protocol;
    frame.set(this.ip, 26);
    frame.set(ip, 30);
    putU16(frame, 24, checksum(frame, 14, 34));
    frame.set(body, 34);
    return frame;
  }

  #transmit(frame: Uint8Array): void {
    this.counters.sent++;
    this.#send(frame);
  }
}

function udpSegment(
  source: Uint8Array,
  target: Uint8Array,
  sourcePort: number,
  targetPort: number,
  data: Uint8Array,
): Uint8Array {
  const length = 8 + data.length;
  const pseudo = new Uint8Array(12 + length);
  pseudo.set(source, 0);
  pseudo.set(target, 4);
  pseudo[9] = PROTO_UDP;
  putU16(pseudo, 10, length);
  putU16(pseudo, 12, sourcePort);
  putU16(pseudo, 14, targetPort);
  putU16(pseudo, 16, length);
  pseudo.set(data, 20);
  putU16(pseudo, 18, checksum(pseudo, 0, pseudo.length) || 0xffff);
  return pseudo.subarray(12);
}

const u16 = (b: Uint8Array, at: number): number => ((b[at] ?? 0) << 8) | (b[at + 1] ?? 0);

function putU16(b: Uint8Array, at: number, value: number): void {
  b[at] = value >> 8;
  b[at + 1] = value & 0xff;
}

const equal = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((x, i) => x === b[i]);
