/** Other programs that read and write capture files, as oracles. tcpdump gets pipes: it gives up root before it opens a file. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const env = { ...process.env, TZ: 'UTC', LC_ALL: 'C.UTF-8' };

function run(program: string, args: string[], input: Uint8Array): Buffer {
  return execFileSync(program, args, { input, stdio: ['pipe', 'pipe', 'pipe'], maxBuffer: 64 << 20, env });
}

/** Lines `tcpdump -r - ARGS` prints. */
export function tcpdumpLines(capture: Uint8Array, args: string[]): string[] {
  return run('tcpdump', ['-r', '-', '-nn', ...args], capture)
    .toString()
    .trimEnd()
    .split('\n');
}

/** The capture as libpcap writes it: classic pcap, with `nano` of nanoseconds. */
export function rewriteByTcpdump(capture: Uint8Array, nano = false): Uint8Array {
  return run('tcpdump', ['-r', '-', '-w', '-', ...(nano ? ['--time-stamp-precision=nano'] : [])], capture);
}

/** Rows of the fields tshark decodes. It wants a file: a socket for standard input is not one to it. */
export function tsharkRows(capture: Uint8Array, fields: string[]): string[][] {
  return withFile(capture, (path) =>
    execFileSync('tshark', ['-r', path, '-n', '-T', 'fields', ...fields.flatMap((field) => ['-e', field])], {
      stdio: 'pipe',
      env,
    }),
  )
    .toString()
    .replace(/\n$/, '')
    .split('\n')
    .map((line) => line.split('\t'));
}

/** What capinfos says, with what it complains about. */
export function capinfos(capture: Uint8Array): string {
  return withFile(capture, (path) => {
    const { stdout, stderr } = spawnSync('capinfos', [path], { env });
    return `${stdout}${stderr}`;
  });
}

function withFile<Result>(content: Uint8Array, use: (path: string) => Result): Result {
  const directory = mkdtempSync(join(tmpdir(), 'tapbridge-'));
  try {
    writeFileSync(join(directory, 'capture'), content);
    return use(join(directory, 'capture'));
  } finally {
    rmSync(directory, { recursive: true });
  }
}
