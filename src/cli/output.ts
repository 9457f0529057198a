/** Where a tool's texts go: the terminal, unless someone else runs its commands. */
export interface Output {
  out(text: string): void;
  err(text: string): void;
}

const $watched = new Set<NodeJS.WriteStream>();

/** A reader that has seen enough is no error; what is left is dropped. */
function write(stream: NodeJS.WriteStream, text: string): void {
  if (!$watched.has(stream)) {
    $watched.add(stream);
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
    });
  }
  stream.write(text);
}

export const terminal: Output = {
  out: (text) => write(process.stdout, text),
  err: (text) => write(process.stderr, text),
};
