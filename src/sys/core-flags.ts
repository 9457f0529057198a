/**
 * V8 flags under which core.wasm is compiled, set before it is. V8 compiles a module function by function when first
 * called, badly at first, and well in the background once they are warm: a PMD took seconds at half its speed.
 * Some 100 ms more at the start give the good code at once, also to compiled chains (src/datapath/chain). Node 20
 * has no other way to ask for it.
 */
export const coreFlags = ['--no-wasm-lazy-compilation', '--no-liftoff'] as const;
