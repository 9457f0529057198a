import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isJsonArray, parseJson } from '../../stream/index.ts';
import { jsonErrorText } from '../../stream/json-error.ts';
import { errorText } from '../../sys/errno.ts';
import { ovsPkgdatadir } from '../../sys/dirs.ts';
import { packageRoot } from '../../sys/package-root.ts';
import { OvsdbError } from '../errors.ts';
import { schemaFromJson } from '../schema.ts';
import type { DatabaseSchema } from '../schema.ts';

/** The Open_vSwitch schema file: that of OVS_PKGDATADIR if set, else this project's. */
export function defaultSchemaFile(): string {
  const bundled = join(packageRoot(), 'share', 'vswitch.ovsschema');
  if (process.env['OVS_PKGDATADIR'] !== undefined || !existsSync(bundled))
    return join(ovsPkgdatadir(), 'vswitch.ovsschema');
  return bundled;
}

/** @throws OvsdbError */
export function readSchemaFile(path: string): DatabaseSchema {
  const fail = (reason: string): OvsdbError =>
    new OvsdbError(`failed to read schema: "${path}" could not be read as JSON (${reason})`);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const why = errorText(error);
    // A directory can be opened.
    throw fail(
      `${why === 'Is a directory' ? 'error reading JSON stream' : `error opening "${path}"`}: ${why}`,
    );
  }
  const fault = jsonErrorText(text);
  if (fault !== null) throw fail(fault);
  try {
    return schemaFromJson(parseJson(text));
  } catch (error) {
    if (!(error instanceof OvsdbError)) throw error;
    const syntax = error.syntax === undefined ? undefined : parseJson(`[${error.syntax}]`);
    const details = `failed to parse "${path}" as ovsdb schema: ${error.details ?? ''}`;
    throw new OvsdbError(error.code, details, isJsonArray(syntax) ? syntax[0] : undefined);
  }
}
