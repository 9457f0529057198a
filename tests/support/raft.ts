import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { waitFor } from './daemons.ts';

interface Member {
  readonly name: string;
  readonly dir: string;
  /** Address for clients. */
  readonly remote: string;
  child: ChildProcess | null;
}

/** A port of loopback that is free now. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

function run(dir: string, name: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(name, args, {
    encoding: 'utf8',
    env: { ...process.env, OVS_RUNDIR: dir },
  });
  if (status !== 0) throw new Error(`${name} ${args.join(' ')}: exit ${status}: ${stderr}`);
  return stdout;
}

/** A cluster of stock ovsdb-servers on loopback, serving one Open_vSwitch database. */
export class RaftCluster {
  readonly #root = mkdtempSync(join(tmpdir(), 'raft-'));
  readonly #members: Member[] = [];

  /** @param schema Path of an `.ovsschema` file with a database named Open_vSwitch. */
  static async start(count: number, schema: string): Promise<RaftCluster> {
    const cluster = new RaftCluster();
    let first = '';
    for (let i = 1; i <= count; i++) {
      const address = `tcp:127.0.0.1:${await freePort()}`;
      const member: Member = {
        name: `s${i}`,
        dir: mkdtempSync(join(cluster.#root, `s${i}-`)),
        remote: `tcp:127.0.0.1:${await freePort()}`,
        child: null,
      };
      const file = join(member.dir, 'conf.db');
      if (i === 1) run(member.dir, 'ovsdb-tool', 'create-cluster', file, schema, (first = address));
      else run(member.dir, 'ovsdb-tool', 'join-cluster', file, 'Open_vSwitch', address, first);
      cluster.#members.push(member);
      await cluster.#startMember(member);
    }
    return cluster;
  }

  /** All members' addresses, as one connection method. */
  get remotes(): string {
    return this.#members.map((m) => m.remote).join(',');
  }
  get memberRemotes(): string[] {
    return this.#members.map((m) => m.remote);
  }

  async #startMember(member: Member): Promise<void> {
    const port = member.remote.slice(member.remote.lastIndexOf(':') + 1);
    const child = spawn(
      'ovsdb-server',
      [
        `--remote=ptcp:${port}:127.0.0.1`,
        `--remote=punix:${member.dir}/db.sock`,
        `--unixctl=${member.dir}/ctl`,
        '-vconsole:off',
        '-vsyslog:off',
        join(member.dir, 'conf.db'),
      ],
      { stdio: 'ignore', env: { ...process.env, OVS_RUNDIR: member.dir } },
    );
    member.child = child;
    await waitFor(
      () => this.#ask(member, 'ovsdb-server/list-dbs').includes('Open_vSwitch'),
      `${member.name} answers`,
    );
    run(member.dir, 'ovsdb-client', 'wait', `unix:${member.dir}/db.sock`, 'Open_vSwitch', 'connected');
  }

  #ask(member: Member, ...command: string[]): string {
    return spawnSync('ovs-appctl', ['-t', join(member.dir, 'ctl'), ...command], { encoding: 'utf8' }).stdout;
  }

  /** Waits for a leader that others know. */
  async leader(): Promise<string> {
    let found = '';
    await waitFor(() => {
      const leaders = this.#members.filter(
        (m) => m.child !== null && this.#ask(m, 'cluster/status', 'Open_vSwitch').includes('Role: leader'),
      );
      found = leaders[0]?.remote ?? '';
      return leaders.length === 1;
    }, 'a leader');
    return found;
  }

  /** Has a member give up leadership, and stays up. */
  async stepDown(remote: string): Promise<void> {
    const member = this.#member(remote);
    const before = await this.leader();
    this.#ask(member, 'cluster/failure-test', 'transfer-leadership');
    await waitFor(async () => (await this.leader()) !== before, 'another leader');
  }

  /** kill -9 */
  async kill(remote: string): Promise<void> {
    const member = this.#member(remote);
    const { child } = member;
    if (child === null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
    member.child = null;
  }

  async restart(remote: string): Promise<void> {
    await this.#startMember(this.#member(remote));
  }

  #member(remote: string): Member {
    const member = this.#members.find((m) => m.remote === remote);
    if (member === undefined) throw new Error(`no member ${remote}`);
    return member;
  }

  async stop(): Promise<void> {
    for (const member of this.#members) await this.kill(member.remote);
    rmSync(this.#root, { recursive: true, force: true });
  }
}
