import { copyFileSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect } from 'node:tls';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import {
  JsonRpcConnection,
  OVSDB_PORT,
  TlsIdentity,
  applyTlsOption,
  connectStream,
  parseJson,
  parseTarget,
  withDscp,
} from '../../src/stream/index.ts';
import { testSchema } from '../support/ovsdb-test-schema.ts';
import { DbServer, kinds, run } from '../support/ovsdb-services.ts';
import { waitFor } from '../support/daemons.ts';
import { Pki } from '../support/pki.ts';
import { TlsPeer } from '../support/tls-peer.ts';
import { missing } from '../support/tools.ts';

/** A program of ours, as built. */
const bin = (name: string): string => fileURLToPath(new URL(`../../bin/${name}`, import.meta.url));
const skip = missing({ tools: ['ovsdb-server', 'ovsdb-client', 'openssl', 'python3'] });

function identity(options: readonly string[]): TlsIdentity {
  const tls = new TlsIdentity();
  for (const option of options) {
    const equals = option.indexOf('=');
    applyTlsOption({ name: option.slice(2, equals), value: option.slice(equals + 1) }, tls);
  }
  return tls;
}

/** Names of the databases of a server, by a client of ours; the code of the error if it cannot be had. */
async function listDbs(remote: string, tls: TlsIdentity, dscp = 0): Promise<unknown> {
  try {
    const target = withDscp(parseTarget(remote, OVSDB_PORT, '/', tls), dscp);
    const connection = new JsonRpcConnection(await connectStream(target));
    return await new Promise((resolve) => {
      connection.start({
        onMessage: (message) => {
          if (message.kind === 'reply') resolve(message.result);
          connection.close();
        },
        onClose: (error) => resolve(error?.code ?? 'closed'),
      });
      connection.request('list_dbs', []);
    });
  } catch (error) {
    return (error as { code: string }).code;
  }
}

describe.skipIf(skip !== null)('TLS', () => {
  const pki = new Pki();
  const servers: DbServer[] = [];
  let port = 20_000 + (process.pid % 20_000);
  const start = async (
    kind: 'ours' | 'stock',
    keys: readonly string[],
  ): Promise<{ server: DbServer; remote: string }> => {
    port++;
    const server = await DbServer.start(kind, {
      schemas: [testSchema],
      options: [`--remote=pssl:${port}:127.0.0.1`, ...keys],
    });
    servers.push(server);
    return { server, remote: `ssl:127.0.0.1:${port}` };
  };
  afterEach(async () => {
    for (const server of servers.splice(0)) await server.stop();
  });
  afterAll(() => pki.remove());

  it.each(kinds)('joins the stock client and ours with a server: %s', async (kind) => {
    const { remote } = await start(kind, pki.options('server', 'a'));
    const client = pki.options('client', 'a');
    const stock = await run('ovsdb-client', ['list-dbs', remote, ...client]);
    expect(stock).toMatchObject({ status: 0, stdout: 'Test\n_Server\n' });
    expect(await listDbs(remote, identity(client))).toEqual(['Test', '_Server']);
    const ours = await run(bin('ovsdb-client'), ['list-dbs', remote, ...client]);
    expect(ours).toMatchObject({ status: 0, stdout: 'Test\n_Server\n' });
  });

  it('carries ovs-vsctl, ours and the stock one, between ours and the stock server', async () => {
    const schema = parseJson(readFileSync('/usr/share/openvswitch/vswitch.ovsschema', 'utf8'));
    const client = pki.options('client', 'a');
    for (const kind of kinds) {
      port++;
      const server = await DbServer.start(kind, {
        schemas: [schema],
        options: [`--remote=pssl:${port}:127.0.0.1`, ...pki.options('server', 'a')],
      });
      servers.push(server);
      const db = `--db=ssl:127.0.0.1:${port}`;
      const steps: [string, string[]][] = [
        ['ovs-vsctl', ['init']],
        [bin('ovs-vsctl'), ['add-br', 'ours']],
        ['ovs-vsctl', ['add-br', 'stock']],
      ];
      for (const [tool, args] of steps)
        expect(await run(tool, [...client, db, '--no-wait', ...args])).toMatchObject({ status: 0 });
      const list = await run(bin('ovs-vsctl'), [...client, db, 'list-br']);
      expect(list).toMatchObject({ status: 0, stdout: 'ours\nstock\n' });
    }
  });

  it.each(kinds)('refuses a peer that another authority certified: %s', async (kind) => {
    const { remote } = await start(kind, pki.options('server', 'a'));
    // The client trusts the server, but not the other way round; then the reverse; then nobody anybody.
    for (const client of [
      pki.options('client', 'b', 'a'),
      pki.options('client', 'a', 'b'),
      pki.options('client', 'b'),
    ]) {
      const stock = await run('ovsdb-client', ['list-dbs', remote, ...client]);
      expect(stock.status).toBe(1);
      // With TLS 1.3 a client is connected before the server has seen its certificate.
      expect(['EPROTO', 'closed']).toContain(await listDbs(remote, identity(client)));
    }
    const trusting = identity(pki.options('client', 'a', 'none'));
    expect(await listDbs(remote, trusting)).toEqual(['Test', '_Server']);
  });

  it('tells the server its name, unless that is an address, as the stock client does', async () => {
    const { key, certificate } = pki.certificate('server', 'a');
    const peer = await TlsPeer.start(certificate, key);
    const client = pki.options('client', 'a');
    const ask = async (tool: string, host: string, ...options: string[]): Promise<unknown> => {
      await run(tool, [...client, ...options, 'list-dbs', `ssl:${host}:${peer.port}`]);
      return await peer.hello();
    };
    for (const tool of ['ovsdb-client', bin('ovsdb-client')]) {
      expect(await ask(tool, 'localhost')).toMatchObject({ serverName: 'localhost', version: 'TLSv1.3' });
      expect(await ask(tool, '127.0.0.1')).toMatchObject({ serverName: null });
    }
    for (const host of ['localhost', '127.0.0.1']) {
      const hello = await ask(bin('ovsdb-client'), host, '--ssl-server-name=db.example');
      expect(hello).toMatchObject({ serverName: 'db.example' });
    }
    const chacha = 'TLS_CHACHA20_POLY1305_SHA256';
    for (const suites of [chacha, `TLS_NONE_SUCH:${chacha}`]) {
      const hello = await ask(bin('ovsdb-client'), '127.0.0.1', `--ssl-ciphersuites=${suites}`);
      expect(hello).toMatchObject({ version: 'TLSv1.3', cipher: chacha });
    }
    expect(await ask(bin('ovsdb-client'), '127.0.0.1', '--ssl-ciphersuites=nope')).toMatchObject({
      version: 'TLSv1.3',
    });
    const server = await DbServer.start('ours', {
      schemas: [testSchema],
      options: [...client, `--remote=ssl:127.0.0.1:${peer.port}`, '--ssl-server-name=manager.example'],
    });
    servers.push(server);
    expect(await peer.hello()).toMatchObject({ serverName: 'manager.example' });
    peer.stop();
  });

  it("offers a server's clients the TLS 1.3 suites that it is told", async () => {
    const suite = 'TLS_AES_128_GCM_SHA256';
    const { remote } = await start('ours', [...pki.options('server', 'a'), `--ssl-ciphersuites=${suite}`]);
    const { key, certificate } = pki.certificate('client', 'a');
    const socket = connect({
      port: Number(remote.split(':').at(-1)),
      rejectUnauthorized: false,
      key: readFileSync(key),
      cert: readFileSync(certificate),
    });
    await new Promise((resolve) => socket.once('secureConnect', resolve));
    expect(socket.getCipher()).toMatchObject({ name: suite, version: 'TLSv1.3' });
    socket.destroy();
  });

  it('connects with a DSCP, and fails as without', async () => {
    const { remote } = await start('ours', pki.options('server', 'a'));
    const client = identity(pki.options('client', 'a'));
    for (const host of ['127.0.0.1', 'localhost'])
      expect(await listDbs(remote.replace('127.0.0.1', host), client, 48)).toEqual(['Test', '_Server']);
    expect(['EPROTO', 'closed']).toContain(await listDbs(remote, identity(pki.options('client', 'b')), 48));
    await servers.pop()?.stop();
    expect(await listDbs(remote, client, 48)).toBe('ECONNREFUSED');
    expect(await listDbs(remote.replace('ssl:', 'tcp:'), client, 48)).toBe('ECONNREFUSED');
    const nowhere = 'ssl:no.such.host.invalid:1';
    expect(await listDbs(nowhere, client, 48)).toBe(await listDbs(nowhere, client));
  });

  it('refuses a client without a certificate', async () => {
    const { remote } = await start('ours', pki.options('server', 'a'));
    const socket = connect({ port: Number(remote.split(':').at(-1)), rejectUnauthorized: false });
    const error = await new Promise<NodeJS.ErrnoException>((resolve) => socket.once('error', resolve));
    expect(error.message).toContain('certificate required');
  });

  it('serves anyone when told not to verify', async () => {
    const { remote } = await start('ours', pki.options('server', 'a', 'none'));
    expect(await listDbs(remote, identity(pki.options('client', 'b', 'a')))).toEqual(['Test', '_Server']);
  });

  it('fails without keys, as the stock client does', async () => {
    const { remote } = await start('ours', pki.options('server', 'a'));
    const { key, certificate } = pki.certificate('client', 'a');
    expect(await listDbs(remote, identity([]))).toBe('ENOPROTOOPT');
    expect(await listDbs(remote, identity([`--private-key=${key}`]))).toBe('ENOPROTOOPT');
    expect(await listDbs(remote, identity([`--private-key=${key}`, `--certificate=${certificate}`]))).toBe(
      'ENOPROTOOPT',
    );
    const stock = await run('ovsdb-client', ['list-dbs', remote]);
    expect(stock.stderr).toContain('Protocol not available');
  });

  it.each(kinds)('bootstraps the CA certificate from a server that sends it: %s', async (kind) => {
    const ca = pki.authority('a');
    const { remote } = await start(kind, [...pki.options('server', 'a'), `--peer-ca-cert=${ca}`]);
    const { key, certificate } = pki.certificate('client', 'a');
    const file = join(pki.dir, `bootstrapped-${kind}.pem`);
    const tls = identity([
      `--private-key=${key}`,
      `--certificate=${certificate}`,
      `--bootstrap-ca-cert=${file}`,
    ]);
    expect(await listDbs(remote, tls)).toBe('EPROTO');
    expect(readFileSync(file, 'utf8')).toBe(readFileSync(ca, 'utf8'));
    expect(await listDbs(remote, tls)).toEqual(['Test', '_Server']);
  });

  it('lets the stock client bootstrap from ours', async () => {
    const ca = pki.authority('a');
    const { remote } = await start('ours', [...pki.options('server', 'a'), `--peer-ca-cert=${ca}`]);
    const { key, certificate } = pki.certificate('client', 'a');
    const file = join(pki.dir, 'bootstrapped-by-stock.pem');
    const args = ['-p', key, '-c', certificate, `--bootstrap-ca-cert=${file}`];
    await run('ovsdb-client', ['list-dbs', remote, ...args]);
    expect(existsSync(file)).toBe(true);
    expect(await run('ovsdb-client', ['list-dbs', remote, ...args])).toMatchObject({ status: 0 });
  });

  it('takes replaced files for the next connection', async () => {
    const files = ['key', 'cert', 'ca'].map((name) => join(pki.dir, `live-${name}`));
    const [key = '', cert = '', ca = ''] = files;
    const install = (authority: string): void => {
      const made = pki.certificate('server', authority);
      copyFileSync(made.key, key);
      copyFileSync(made.certificate, cert);
      copyFileSync(pki.authority(authority), ca);
    };
    install('a');
    const { remote } = await start('ours', [
      `--private-key=${key}`,
      `--certificate=${cert}`,
      `--ca-cert=${ca}`,
    ]);
    const [a, b] = ['a', 'b'].map((authority) => identity(pki.options('client', authority)));
    if (a === undefined || b === undefined) return;
    expect(await listDbs(remote, a)).toEqual(['Test', '_Server']);
    install('b');
    expect(['EPROTO', 'closed']).toContain(await listDbs(remote, a));
    expect(await listDbs(remote, b)).toEqual(['Test', '_Server']);
  });

  it('reads its keys from a database, and follows it', async () => {
    const schema = {
      name: 'Keys',
      tables: {
        SSL: {
          isRoot: true,
          columns: { key: { type: 'string' }, cert: { type: 'string' }, ca: { type: 'string' } },
        },
      },
    };
    port++;
    const server = await DbServer.start('ours', {
      schemas: [schema],
      options: [
        `--remote=pssl:${port}:127.0.0.1`,
        '--private-key=db:Keys,SSL,key',
        '--certificate=db:Keys,SSL,cert',
        '--ca-cert=db:Keys,SSL,ca',
      ],
    });
    servers.push(server);
    const remote = `ssl:127.0.0.1:${port}`;
    const tls = identity(pki.options('client', 'a'));
    expect(await listDbs(remote, tls)).toBe('ECONNREFUSED');
    const { key, certificate } = pki.certificate('server', 'a');
    const client = await server.connect();
    await client.call('transact', [
      'Keys',
      { op: 'insert', table: 'SSL', row: { key, cert: certificate, ca: pki.authority('a') } },
    ]);
    client.close();
    await waitFor(async () => (await listDbs(remote, tls)) !== 'ECONNREFUSED', 'it listens');
    expect(await listDbs(remote, tls)).toEqual(['Keys', '_Server']);
  });
});
