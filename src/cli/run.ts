/**
 * Starts the program named by the first argument: `node dist/cli/run.js ovs-vsctl show`. The
 * launchers in bin/ call it. Programs are loaded by name, so that a tool pays for nothing but itself.
 */
const programs: Readonly<Record<string, string>> = {
  'ovs-vswitchd': '../vswitchd/main.js',
  'ovsdb-server': '../ovsdb/server/main.js',
  'ovs-vsctl': './ovs-vsctl.js',
  'ovs-ofctl': './ovs-ofctl.js',
  'ovs-appctl': './ovs-appctl.js',
  'ovs-dpctl': './ovs-dpctl.js',
  'ovsdb-client': './ovsdb-client.js',
  'ovsdb-tool': './ovsdb-tool.js',
  megaflow: '../vswitchd/up/main.js',
};

const program = process.argv[2] ?? '';
const file = programs[program];
if (file === undefined) {
  process.stderr.write(`run: no program ${program}\n`);
  process.exitCode = 1;
} else {
  const loaded = (await import(new URL(file, import.meta.url).href)) as {
    main(argv: readonly string[]): Promise<number>;
  };
  process.exitCode = await loaded.main(process.argv.slice(3));
}
