/**
 * Where the built entry file of a worker is. Workers always run from dist/: Node 20 cannot load
 * TypeScript in a worker.
 */
export function workerUrl(name: 'pmd' | 'revalidator' | 'handler'): URL {
  const here = new URL('.', import.meta.url).href;
  const built = here.includes('/dist/') ? here : here.replace('/src/', '/dist/');
  return new URL(`../workers/${name}.worker.js`, built);
}
