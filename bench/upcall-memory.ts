import { megaflowBytes } from './micro/upcall.ts';

/** Usage: npx tsx bench/upcall-memory.ts [FLOWS]: arena bytes a megaflow takes, by shape. */
for (const { name, bytes } of megaflowBytes(Number(process.argv[2] ?? 200_000))) {
  console.log(`${name.padEnd(30)} ${bytes.toFixed(0).padStart(6)} bytes`);
}
