/** Where a tool's texts go: the terminal, unless someone else runs its commands. */
export interface Output {
  out(text: string): void;
  err(text: string): void;
}

/** A reader that has seen enough is no error; what is left is dropped. */
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}

export const terminal: Output = {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
};
