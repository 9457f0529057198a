/** Undocumented commands of ovs-ofctl for testing: parsing and printing without a switch. */
import { readFileSync } from 'node:fs';
import { encodeOne } from '../../openflow/codec.ts';
import { OFP_HEADER_SIZE, messageLength } from '../../openflow/header.ts';
import { hexDump, formatMessage } from '../../openflow/print-message.ts';
import { parseFlow } from '../../openflow/flow-text.ts';
import type { ParsedFlow } from '../../openflow/flow-text.ts';
import { parseHex } from '../../openflow/parse-actions.ts';
import { P_OF10_NXM_ANY, P_TID, formatProtocols, protocolVersion } from '../../openflow/protocols.ts';
import { strerror } from '../../stream/errno.ts';
import { UsageError } from '../../util/errors.ts';
import { readFlowLines } from './flow-commands.ts';
import type { Session } from './session.ts';
import { nextXid } from './vconn.ts';

type Args = readonly string[];

export async function ofpPrint(s: Session, args: Args): Promise<void> {
  const [hex = '', verbosity = '2'] = args;
  const bytes = parseHex(hex);
  if (!bytes) throw new UsageError('trailing garbage following hex bytes');
  s.output.out(formatMessage(bytes, { verbosity: Number.parseInt(verbosity, 10) || 0 }));
  await Promise.resolve();
}

/** Prints the messages of a file, one after another. */
export async function ofpParse(s: Session, [file = '']: Args): Promise<void> {
  let data: Uint8Array;
  try {
    data = readFileSync(file === '-' ? 0 : file);
  } catch (e) {
    throw new UsageError(`${file}: open (${strerror((e as { code?: string }).code ?? '')})`);
  }
  let rest = data;
  while (rest.length > 0) {
    if (rest.length < OFP_HEADER_SIZE) throw new UsageError(`${file}: unexpected end of file mid-message`);
    const length = messageLength(rest);
    if (length > rest.length) throw new UsageError(`${file}: unexpected end of file mid-message`);
    if (length < OFP_HEADER_SIZE)
      throw new UsageError(`${file}: ${length}-byte message is too short for OpenFlow`);
    s.output.out(formatMessage(rest.subarray(0, length), { verbosity: s.options.verbosity + 2 }));
    rest = rest.subarray(length);
  }
  await Promise.resolve();
}

/** Prints flows as they would be sent in the protocol that suits them all. */
function printFlows(s: Session, flows: readonly ParsedFlow[]): void {
  const usable = flows.reduce((bits, f) => bits & f.usable, -1);
  s.output.out(`usable protocols: ${formatProtocols(usable)}\n`);
  if ((usable & s.options.protocols) === 0) throw new UsageError('no usable protocol');
  let protocol = 1;
  while ((protocol & usable & s.options.protocols) === 0) protocol <<= 1;
  s.output.out(`chosen protocol: ${formatProtocols(protocol)}\n`);
  for (const { flow } of flows) {
    const bytes = encodeOne(flow, nextXid(), {
      version: protocolVersion(protocol),
      flowFormat: (protocol & P_OF10_NXM_ANY) !== 0 ? 'nxm' : 'openflow10',
      tableIdExtension: (protocol & P_TID) !== 0,
    });
    s.print(bytes);
  }
}

export async function parseFlowCommand(s: Session, args: Args): Promise<void> {
  printFlows(s, [parseFlow(args[0] ?? '', 'any')]);
  await Promise.resolve();
}

export async function parseFlowsCommand(s: Session, args: Args): Promise<void> {
  const [file = ''] = args;
  printFlows(
    s,
    readFlowLines(file).map(([, text]) => parseFlow(text, 'any')),
  );
  await Promise.resolve();
}

export async function encodeHello(s: Session, args: Args): Promise<void> {
  const versionBitmap = Number(args[0] ?? '0');
  const version = 31 - Math.clz32(versionBitmap);
  const bytes = encodeOne({ type: 'hello', versionBitmap }, nextXid(), { version });
  s.output.out(hexDump(bytes, false));
  s.print(bytes);
  await Promise.resolve();
}
