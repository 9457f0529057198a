import type { Core } from '../../arena/core.ts';
import type { XlateInput, XlateResult } from './types.ts';

/**
 * Flow translation: an OpenFlow pipeline walk that yields datapath actions, the mask of every bit
 * that decided something, and the list of side effects (OVS's ofproto-dpif-xlate).
 */
export interface TranslatorApi {
  translate(input: XlateInput): XlateResult;
}
export type TranslatorConstructor = new (core: Core) => TranslatorApi;
