/** What this process has open. */
import { readdirSync, readlinkSync } from 'node:fs';

/** How many descriptors lead to a path, as /proc says it. */
export function openDescriptors(path: string): number {
  const targets = readdirSync('/proc/self/fd').map((descriptor) => {
    try {
      return readlinkSync(`/proc/self/fd/${descriptor}`);
    } catch {
      // That of the listing itself.
      return '';
    }
  });
  return targets.filter((target) => target === path).length;
}
