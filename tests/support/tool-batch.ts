import { spawn } from 'node:child_process';
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** How a command line ended and what it wrote. */
export interface ToolOutcome {
  /** Exit status, or the name of the signal that ended it. */
  readonly status: number | string | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface Waiting {
  readonly resolve: (outcome: ToolOutcome) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Our tools, many command lines in one process: a process of its own for each would take most of a
 * differential test's time. Command lines run one after the other; the tools are those of dist/.
 */
export class ToolBatch {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #waiting: Waiting[] = [];
  #stdout = '';
  #stderr = '';

  constructor(env: NodeJS.ProcessEnv) {
    this.#child = spawn(process.execPath, [fileURLToPath(new URL('tool-batch.mjs', import.meta.url))], {
      env,
    });
    this.#child.stdout.on('data', (bytes: Buffer) => {
      this.#stdout += bytes.toString();
      this.#take();
    });
    this.#child.stderr.on('data', (bytes: Buffer) => {
      this.#stderr += bytes.toString();
      this.#take();
    });
    this.#child.once('close', () => {
      for (const { reject } of this.#waiting.splice(0))
        reject(new Error(`the tools' process ended: ${this.#stderr}`));
    });
  }

  async run(program: string, argv: readonly string[], cwd: string): Promise<ToolOutcome> {
    return await new Promise<ToolOutcome>((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#child.stdin.write(`${JSON.stringify({ program, argv, cwd })}\n`);
    });
  }

  #take(): void {
    const out = /\0(.*)\n/.exec(this.#stdout);
    const errorEnd = this.#stderr.indexOf('\0\n');
    if (out === null || errorEnd < 0) return;
    const outcome = {
      status: JSON.parse(out[1] ?? '') as number | string,
      stdout: this.#stdout.slice(0, out.index),
      stderr: this.#stderr.slice(0, errorEnd),
    };
    this.#stdout = this.#stdout.slice(out.index + out[0].length);
    this.#stderr = this.#stderr.slice(errorEnd + 2);
    this.#waiting.shift()?.resolve(outcome);
  }

  async close(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once('close', resolve));
    this.#child.stdin.end();
    await ended;
  }
}

/** A program of its own. */
export async function runProgram(
  path: string,
  argv: readonly string[],
  options: {
    readonly env: NodeJS.ProcessEnv;
    readonly cwd: string;
    readonly input?: string;
    readonly argv0?: string;
  },
): Promise<ToolOutcome> {
  const { env, cwd, input = '', argv0 } = options;
  const child = spawn(path, argv, { env, cwd, ...(argv0 === undefined ? {} : { argv0 }) });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (bytes: Buffer) => (stdout += bytes.toString()));
  child.stderr.on('data', (bytes: Buffer) => (stderr += bytes.toString()));
  // A program that ends without reading its input breaks the pipe.
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  const status = await new Promise<number | string | null>((resolve) => {
    child.once('close', (code, signal) => resolve(code ?? signal));
  });
  return { status, stdout, stderr };
}
