/** Options of ovsdb-tool that commands look at. */
export interface ToolSettings {
  /** The command's own name. */
  readonly name: string;
  /** How often -m was given. */
  readonly verbosity: number;
  /** Role under whose RBAC rules a transaction runs; null for none. */
  readonly rbacRole: string | null;
}

/** What to print; or that, what to print to standard error, and an exit status. */
export type Outcome = string | { readonly text: string; readonly error?: string; readonly status: number };

export interface Command {
  readonly minArgs: number;
  readonly maxArgs: number;
  run(args: readonly string[], settings: ToolSettings): Promise<Outcome> | Outcome;
}
