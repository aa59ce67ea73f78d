/**
 * What the kernel takes as the name of an interface: `dev_valid_name` and `sysctl_dev_name_is_allowed` (net/core/dev.c, include/net/ip.h).
 * Checked before anything is made, so that a bad name leaves nothing half made behind; the kernel's answer would be a bare EINVAL.
 */

/** IFNAMSIZ is 16 with the terminating NUL (include/uapi/linux/if.h). */
const MAX_INTERFACE_NAME_BYTES = 15;

const NO_BREAK_SPACE_BYTE = 0xa0;

/** Why `name` cannot name an interface, as the end of a sentence; undefined when it can. */
export function interfaceNameProblem(name: string): string | undefined {
  if (name === '') return 'it is empty';
  const bytes = new TextEncoder().encode(name);
  if (bytes.length > MAX_INTERFACE_NAME_BYTES) {
    return `it has ${bytes.length} bytes, the kernel allows ${MAX_INTERFACE_NAME_BYTES}`;
  }
  if (name === '.' || name === '..') return 'the kernel reserves it';
  // Directories of /proc/sys/net/ipv4/conf that mean something else.
  if (name === 'all' || name === 'default') return 'the kernel reserves it';
  if (name.includes('/')) return 'it contains "/"';
  if (name.includes(':')) return 'it contains ":", which marks old-style aliases';
  // The kernel would take it as a pattern (eth%d) and choose a name of its own.
  if (name.includes('%')) return 'it contains "%"';
  for (const byte of bytes) {
    if (byte <= 0x20 || byte === 0x7f) return 'it contains white space or a control character';
    // isspace() of the kernel counts this byte of ISO 8859-1 as a space, also inside of a UTF-8 sequence (lib/ctype.c).
    if (byte === NO_BREAK_SPACE_BYTE) return 'it contains a character that the kernel takes as white space';
  }
  return undefined;
}

/**
 * Returns `name` when an interface can have it.
 * @throws Error with a sentence that says what is wrong.
 */
export function checkInterfaceName(name: string): string {
  const problem = interfaceNameProblem(name);
  if (problem !== undefined) {
    throw new Error(`${JSON.stringify(name)} cannot be an interface name: ${problem}`);
  }
  return name;
}
