/** The part of a pino logger the control plane uses: fields first, then one sentence. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** For library users and tests that want none. */
export const SILENT: Log = { debug() {}, info() {}, warn() {}, error() {} };

/** One line for what may be anything thrown. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
