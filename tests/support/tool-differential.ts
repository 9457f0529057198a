import { ToolBatch, runProgram } from './tool-batch.ts';
import type { ToolOutcome } from './tool-batch.ts';
import { findTool } from './tools.ts';

/** Words as a shell makes them: quotes of either kind keep spaces together. */
export function shellWords(line: string): string[] {
  return [...line.matchAll(/(?:"[^"]*"|'[^']*'|[^\s"'])+/g)].map(([word]) =>
    word.replaceAll(/"([^"]*)"|'([^']*)'/g, (_, double?: string, single?: string) => double ?? single ?? ''),
  );
}

/** A run directory for each kind of tool; the same one if both work on one server. */
export interface ToolDirs {
  readonly ours: string;
  readonly stock: string;
}

/**
 * Our tools and the stock ones, the same command lines given to both. In a line `@` stands for the run
 * directory, which is also the working directory.
 */
export class ToolDifferential {
  readonly #dirs: ToolDirs;
  readonly #batch: ToolBatch;

  constructor(dirs: ToolDirs) {
    this.#dirs = dirs;
    this.#batch = new ToolBatch(environment(dirs.ours));
  }

  async ours(line: string): Promise<ToolOutcome> {
    const [program = '', ...argv] = argumentsIn(line, this.#dirs.ours);
    return normal(await this.#batch.run(program, argv, this.#dirs.ours), this.#dirs.ours);
  }

  async stock(line: string): Promise<ToolOutcome> {
    const dir = this.#dirs.stock;
    const [program = '', ...argv] = argumentsIn(line, dir);
    return normal(
      await runProgram(findTool(program) ?? program, argv, {
        env: environment(dir),
        cwd: dir,
        argv0: program,
      }),
      dir,
    );
  }

  async close(): Promise<void> {
    await this.#batch.close();
  }
}

export function environment(dir: string): NodeJS.ProcessEnv {
  return { ...process.env, OVS_RUNDIR: dir, OVS_LOGDIR: dir, OVS_DBDIR: dir, OVS_SYSCONFDIR: dir };
}

function argumentsIn(line: string, dir: string): string[] {
  return shellWords(line).map((word) => word.replaceAll('@/', `${dir}/`));
}

/** Without what differs between two runs of one program: directory, time and number of log lines. */
function normal({ status, stdout, stderr }: ToolOutcome, dir: string): ToolOutcome {
  const text = (part: string): string =>
    part.replaceAll(dir, '@').replaceAll(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\|\d{5}\|/gm, 'TIME|N|');
  return { status, stdout: text(stdout), stderr: text(stderr) };
}

/** With every uuid replaced by a word, and lines sorted: for databases of which each has its own uuids. */
export function unordered({ status, stdout, stderr }: ToolOutcome): ToolOutcome {
  const text = (part: string): string =>
    part
      .replaceAll(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, 'UUID')
      .split('\n')
      .sort()
      .join('\n');
  return { status, stdout: text(stdout), stderr: text(stderr) };
}
