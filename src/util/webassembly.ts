/**
 * The part of the WebAssembly JavaScript API that we use. TypeScript has it in its `dom` library only,
 * which portable layers must not see. Files that need it import this one for its global types.
 */
export {};

declare global {
  namespace WebAssembly {
    interface MemoryDescriptor {
      readonly initial: number;
      readonly maximum?: number;
      readonly shared?: boolean;
    }
    class Memory {
      constructor(descriptor: MemoryDescriptor);
      readonly buffer: ArrayBuffer;
    }
    class Table {
      constructor(descriptor: { readonly element: 'anyfunc'; readonly initial: number });
      readonly length: number;
      set(index: number, value: unknown): void;
      grow(delta: number): number;
    }
    class Module {
      constructor(bytes: Uint8Array);
      /** Keeps other objects from being taken for a module. */
      readonly [Symbol.toStringTag]: 'WebAssembly.Module';
    }
    class Instance {
      constructor(module: Module, imports: Record<string, Record<string, unknown>>);
      readonly exports: Record<string, unknown>;
    }
    /** Compiles in the background. */
    function compile(bytes: Uint8Array): Promise<Module>;
  }
}
