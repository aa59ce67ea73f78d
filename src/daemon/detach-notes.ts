/** Carries out the notes about ports whose containers ended while no daemon ran (control/detach-note). */
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { Control } from '../control/control.js';
import { type DetachNote, NOTE_VERSION, NOTES } from '../control/detach-note.js';
import { type Log, reasonOf } from '../control/log.js';
import { readOwned } from '../control/ownership.js';

/** A note has less; who writes more is no client of ours. */
const MAX_NOTE_BYTES = 4096;
/** Docker and Kubernetes keep some hundred containers on a host; a directory with more than this was filled by something else. */
const MAX_NOTES = 16_384;

const Note = z.strictObject({
  version: z.literal(NOTE_VERSION),
  bridge: z.string(),
  port: z.string(),
  container: z.string(),
}) satisfies z.ZodType<DetachNote>;

/**
 * Called before the daemon listens (addresses and interfaces are free again before anybody asks for them) and once more when it does: a note written
 * in between is found then, and later ones are not written, because their writer finds a daemon that answers.
 * @param state the daemon's state directory
 */
export async function carryOutNotes(
  control: Pick<Control, 'listBridges' | 'listPorts' | 'detach'>,
  state: string,
  log: Log,
): Promise<void> {
  const folder = join(state, NOTES);
  for (const file of notesIn(folder)) {
    const path = join(folder, file);
    try {
      await carryOut(control, Note.parse(JSON.parse(readOwned(path, MAX_NOTE_BYTES))), log);
    } catch (error) {
      log.warn({ file: path, reason: reasonOf(error) }, 'cannot carry out what a note asks for; it is dropped');
    }
    try {
      rmSync(path, { recursive: true, force: true });
    } catch (error) {
      log.warn({ file: path, reason: reasonOf(error) }, 'cannot remove a note');
    }
  }
}

async function carryOut(
  control: Pick<Control, 'listBridges' | 'listPorts' | 'detach'>,
  note: DetachNote,
  log: Log,
): Promise<void> {
  const { bridge, port, container } = note;
  if (!control.listBridges().some(({ name }) => name === bridge)) return;
  const there = control.listPorts(bridge).find(({ name }) => name === port);
  if (there?.container?.id !== container) return;
  await control.detach(bridge, port);
  log.info({ bridge, port, container }, `port ${port} is detached: its container ended while no daemon ran`);
}

function notesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => name.endsWith('.json'))
      .slice(0, MAX_NOTES);
  } catch {
    // Nobody ever left one.
    return [];
  }
}
