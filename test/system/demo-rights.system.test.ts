/** The demo of a user who is not root: inside a user namespace where /dev/net/tun is open, else one line. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { describeSystem } from '../helpers/requirements.js';

const TITLE = 'the demo without root';
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const NOBODY = '65534';

/**
 * Runs the demo as nobody, with a /dev/net/tun of this mode, in a mount namespace of its own. Program and Node are bound to where nobody may
 * read them, wherever they lie.
 */
function runAsNobody(tunMode: string, command = 'exec /mnt/node /mnt/tapbridge/dist/cli/main.js demo --json') {
  const script = `
    set -e
    mount -t tmpfs none /mnt
    mkdir /mnt/tapbridge
    mount --bind "$0" /mnt/tapbridge
    touch /mnt/node
    mount --bind "$1" /mnt/node
    mknod /mnt/tun c 10 200
    chmod ${tunMode} /mnt/tun
    mount --bind /mnt/tun /dev/net/tun
    cd /
    exec setpriv --reuid=${NOBODY} --regid=${NOBODY} --clear-groups -- sh -c '${command}'`;
  return spawnSync('unshare', ['--mount', 'sh', '-c', script, ROOT, process.execPath], { encoding: 'utf8' });
}

// Only root of the machine itself can be somebody else and make devices.
if (/^\s*0\s+0\s+4294967295\s*$/.test(readFileSync('/proc/self/uid_map', 'latin1'))) {
  describeSystem(TITLE, ['tap', 'tool:unshare', 'tool:setpriv'], () => {
    test('/dev/net/tun closed: one line that says what to do, status 1', () => {
      const { status, stdout, stderr } = runAsNobody('600');
      expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
      expect(stderr).toMatch(/^tapbridge: demo: needs root, or a \/dev\/net\/tun that others may open: .*\n$/);
    });

    test('/dev/net/tun open: all of it, in a user namespace; or one line where those are refused', { timeout: 60_000 }, () => {
      const allowed = runAsNobody('666', 'unshare --user --map-root-user true').status === 0;
      const { status, stdout, stderr } = runAsNobody('666');
      if (allowed) {
        expect(status).toBe(0);
        const results = JSON.parse(stdout) as { ok: boolean }[];
        expect(results.length).toBeGreaterThan(10);
        expect(results.every(({ ok }) => ok)).toBe(true);
      } else {
        expect(status).toBe(1);
        expect(stderr).toMatch(/^tapbridge: demo: needs root, since this system refuses unprivileged user namespaces.*\n$/);
      }
    });
  });
} else {
  const lacking = 'needs root of the machine, not of a user namespace';
  process.stderr.write(`left out: ${TITLE}: ${lacking}\n`);
  // The tests give rights up, which takes having them; CI runs as root.
  describe.skip(TITLE, () => test(lacking, () => {}));
}
