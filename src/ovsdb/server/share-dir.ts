import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseJson } from '../../stream/index.ts';
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
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'EIO';
    throw new OvsdbError(
      `failed to read schema: I/O error: ${path}: open failed (${code === 'ENOENT' ? 'No such file or directory' : code})`,
    );
  }
  return schemaFromJson(parseJson(text));
}
