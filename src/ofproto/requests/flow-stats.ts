import type { AggregateStatsReply, FlowStatsRequest } from '../../openflow/messages.ts';
import { encodeMultipart } from '../../openflow/header.ts';
import type { DecodedMessage } from '../codec.ts';
import { contextOf } from '../codec.ts';
import type { OfConn } from '../connection/ofconn.ts';
import type { RequestJob } from '../connection/request-job.ts';
import { checkTableId, looseRules } from '../flow-mod.ts';
import { FlowStatsWriter } from '../flow-stats-writer.ts';
import type { RuleList } from '../rule-list.ts';
import type { SwitchState } from '../switch-state.ts';

/** OFPSF_REPLY_MORE, at the same place in all versions. */
const flagsAt = 10;
const replyMore = 1;

/**
 * Answers a flow_stats_request: one message of up to 64 KiB a step, so that a million rules are never all in
 * memory as replies. The rules are those of the moment the request was taken, as in OVS; hidden ones are
 * left out.
 */
export class DumpJob implements RequestJob {
  readonly #conn: OfConn;
  readonly #rules: RuleList;
  readonly #writer: FlowStatsWriter;
  /** Message under construction, with its headers in front. */
  readonly #bytes = new Uint8Array(0x1_0000);
  readonly #headerLength: number;
  #next = 0;

  /** @throws OfpError */
  constructor(sw: SwitchState, conn: OfConn, request: DecodedMessage, criteria: FlowStatsRequest) {
    checkTableId(criteria.tableId);
    const nowMs = sw.deps.clock.nowMs();
    sw.life.settle(nowMs);
    this.#conn = conn;
    const isNx = request.raw.name === 'NXST_FLOW_REQUEST';
    const version = request.version;
    const raw = isNx
      ? 'NXST_FLOW_REPLY'
      : version === 1
        ? 'OFPST10_FLOW_REPLY'
        : version <= 3
          ? 'OFPST11_FLOW_REPLY'
          : 'OFPST13_FLOW_REPLY';
    const [empty = new Uint8Array(0)] = encodeMultipart(raw, version, request.xid, []);
    this.#bytes.set(empty);
    this.#headerLength = empty.length;
    const context = { ...contextOf(conn, version), flowFormat: isNx ? 'nxm' : 'openflow10' } as const;
    this.#writer = new FlowStatsWriter(sw.deps.core, sw.flowTables.rules, sw.flowTables, context, nowMs);
    this.#rules = looseRules(sw.flowTables, criteria, true);
  }

  step(): boolean {
    this.#writer.newStep();
    let at = this.#headerLength;
    while (this.#next < this.#rules.length) {
      const written = this.#writer.write(this.#rules.at(this.#next), this.#bytes, at);
      if (written < 0) {
        if (at === this.#headerLength) {
          // An entry that fits into no message cannot be told.
          this.#next++;
          continue;
        }
        break;
      }
      at += written;
      this.#next++;
    }
    const isLast = this.#next >= this.#rules.length;
    const message = this.#bytes.slice(0, at);
    message[2] = at >>> 8;
    message[3] = at;
    message[flagsAt + 1] = isLast ? 0 : replyMore;
    this.#conn.sendReply(message);
    this.#rules.releaseTo(this.#next);
    if (isLast) this.#rules.free();
    return isLast;
  }

  abandon(): void {
    this.#rules.free();
  }
}

export function replyAggregate(sw: SwitchState, request: FlowStatsRequest): AggregateStatsReply {
  checkTableId(request.tableId);
  sw.life.settle(sw.deps.clock.nowMs());
  const rules = looseRules(sw.flowTables, request);
  const sum = rules.sum();
  const flowCount = rules.length;
  rules.free();
  return { type: 'aggregate_stats_reply', ...sum, flowCount };
}
