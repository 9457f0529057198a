import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { connectStream, listenStream } from '../../stream/index.ts';
import type { ByteStream, StreamListener } from '../../stream/index.ts';
import { schemaFromJson } from '../schema.ts';
import { runOvsdbServer } from '../server/embed.ts';
import type { RunningOvsdbServer } from '../server/embed.ts';
import { createDatabase } from '../server/storage.ts';
import { Idl } from './idl.ts';

const schema = schemaFromJson({
  name: 'Db',
  tables: { Top: { columns: { name: { type: 'string' } }, isRoot: true } },
});

/** Passes bytes on between a client and the server, keeps their text, and cuts the connection when told to. */
class CuttingProxy {
  toServer = '';
  toClient = '';
  /** Cuts as soon as the server has answered after this text went to it. */
  cutAfter: string | null = null;
  readonly #streams = new Set<ByteStream>();
  #listener: StreamListener | undefined;

  async listen(path: string, server: string): Promise<void> {
    this.#listener = await listenStream({ kind: 'unix', path, isPassive: true }, (client) => {
      void this.#serve(client, server);
    });
  }
  async #serve(client: ByteStream, path: string): Promise<void> {
    const server = await connectStream({ kind: 'unix', path, isPassive: false });
    for (const stream of [client, server]) this.#streams.add(stream);
    client.start({
      onData: (bytes) => {
        this.toServer += Buffer.from(bytes).toString();
        server.send(bytes);
      },
      onClose: () => server.close(),
    });
    server.start({
      onData: (bytes) => {
        if (this.cutAfter !== null && this.toServer.includes(this.cutAfter)) {
          this.cutAfter = null;
          this.cut();
          return;
        }
        this.toClient += Buffer.from(bytes).toString();
        client.send(bytes);
      },
      onClose: () => client.close(),
    });
  }
  cut(): void {
    for (const stream of this.#streams) stream.destroy();
    this.#streams.clear();
    this.toServer = '';
    this.toClient = '';
  }
  async close(): Promise<void> {
    this.cut();
    await this.#listener?.close();
  }
}

describe('a client whose connection is cut', () => {
  let dir: string;
  let server: RunningOvsdbServer;
  let proxy: CuttingProxy;
  let idl: Idl;
  let other: Idl;
  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), 'resume-'));
    createDatabase(join(dir, 'db'), schema);
    server = await runOvsdbServer({
      files: [join(dir, 'db')],
      remotes: [`punix:${dir}/sock`],
      unixctlPath: null,
    });
    proxy = new CuttingProxy();
    await proxy.listen(`${dir}/proxy`, `${dir}/sock`);
    // Several, so that the next attempts have no back-off.
    const remote = [`unix:${dir}/proxy`, `unix:${dir}/proxy`, `unix:${dir}/proxy`];
    idl = new Idl({ remote, database: 'Db', tables: 'all' }).start();
    other = new Idl({ remote: `unix:${dir}/sock`, database: 'Db', tables: 'all' }).start();
    await Promise.all([idl.ready(), other.ready()]);
  });
  afterEach(async () => {
    idl.close();
    other.close();
    await proxy.close();
    await server.close();
    rmSync(dir, { recursive: true });
  });

  it('takes up its place: only what was missed is sent', async () => {
    await idl.transact((t) => {
      t.insert('Top', { name: 'kept' });
    });
    const heard: string[] = [];
    idl.onChange((changes) => heard.push(...changes.map((c) => `${c.kind} ${c.row.str('name')}`)));
    proxy.cut();
    await other.transact((t) => {
      t.insert('Top', { name: 'missed' });
    });
    while (idl.rows('Top').length < 2) await idl.waitChange(idl.seqno);
    expect(heard).toEqual(['insert missed']);
    expect(proxy.toServer).toMatch(/"monitor_cond_since",.*"(?!00000000-)[0-9a-f-]{36}"\]/);
    expect(proxy.toClient).toMatch(/"result":\[true,/);
    expect(proxy.toClient).not.toContain('kept');
  });

  it('builds its transaction again when the reply was lost, and sees that it was done', async () => {
    let builds = 0;
    proxy.cutAfter = '"transact"';
    await idl.transact((t) => {
      builds++;
      if (!idl.rows('Top').some((row) => row.str('name') === 'once')) t.insert('Top', { name: 'once' });
    });
    expect(builds).toBe(2);
    expect(idl.rows('Top').map((row) => row.str('name'))).toEqual(['once']);
    expect(other.rows('Top').length).toBeLessThanOrEqual(1);
  });
});
