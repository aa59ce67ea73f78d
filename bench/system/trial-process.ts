/** Starts trials: each in a process of its own, ended with all it made when it takes too long or is not wanted any more. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { TrialReport } from './trial.js';

/** What the process may take to remove what it made. */
const END_MILLIS = 10_000;
/** A trial's complaint is a line in a report. */
const MAX_COMPLAINT = 2000;

export interface TrialProcess {
  /** Rejects with what the trial said. */
  report: Promise<TrialReport>;
  /** Ends it; `report` rejects. Idempotent. */
  end(): void;
}

/** @param limitSeconds what it may take at most */
export function startTrial(driver: string, type: string, seconds: number, limitSeconds: number): TrialProcess {
  const script = fileURLToPath(new URL('./trial.js', import.meta.url));
  const child = spawn(process.execPath, [script, driver, type, String(seconds)], {
    // The channel tells the trial when the campaign ends, however it ends.
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    // A group of its own: Ctrl-C in a terminal reaches the campaign, which ends the trial in order.
    detached: true,
  });
  let output = '';
  let complaint = '';
  let late = false;
  child.stdout?.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  child.stderr?.on('data', (chunk: Buffer) => {
    complaint += chunk.toString();
  });
  let killer: NodeJS.Timeout | undefined;
  const end = (): void => {
    if (killer !== undefined) return;
    child.kill('SIGTERM');
    killer = setTimeout(() => child.kill('SIGKILL'), END_MILLIS);
  };
  const limit = setTimeout(() => {
    late = true;
    end();
  }, limitSeconds * 1000);
  const report = new Promise<TrialReport>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status, signal) => {
      clearTimeout(limit);
      clearTimeout(killer);
      const said = complaint.replace(/\s*\n\s*/g, ' ').trim();
      if (late) reject(new Error(`no result after ${limitSeconds.toFixed(0)} s ${said}`.trim()));
      else if (status !== 0)
        reject(new Error(said.slice(0, MAX_COMPLAINT) || `the trial ended with ${signal ?? `status ${status}`}`));
      else {
        try {
          resolve(JSON.parse(output) as TrialReport);
        } catch (cause) {
          reject(new Error(`the trial printed no report: ${said.slice(0, MAX_COMPLAINT)}`.trim(), { cause }));
        }
      }
    });
  });
  return { report, end };
}
