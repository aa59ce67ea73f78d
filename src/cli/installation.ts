/** What `docker install` and `cni install` do alike: show the plan, ask, carry it out, say what is next. */
import { agreed, carryOut, type OwnFile, planInstall, planRemoval, planText, type Step } from './file-plan.js';
import { print } from './output.js';

export interface InstallOptions {
  /** A directory that stands for /. */
  root: string;
  yes?: boolean;
  /** Also files that are for something else, or were changed. */
  replace?: boolean;
}

/** @param next what the user reads when it is done @throws Error when something else stands in a file's place */
export async function installFiles(files: readonly OwnFile[], options: InstallOptions, next: () => string): Promise<void> {
  const steps = planInstall(files, options.root);
  if (steps.every(({ action }) => action === 'same')) {
    await print(`everything is in place\n${planText(steps)}`);
    return;
  }
  const changed = steps.filter(({ action }) => action === 'changed');
  if (changed.length > 0 && options.replace !== true) {
    await print(planText(steps));
    const places = changed.map(({ place }) => place).join(' and ');
    throw Object.assign(new Error(`${places} is for something else, or was changed`), {
      hint: 'nothing was done; --replace takes ours',
    });
  }
  if (!(await agreed(planText(steps), options.yes === true))) return;
  carryOut(steps);
  await print(`installed\n${next()}`);
}

/** @param next told what was removed */
export async function removeFiles(
  files: readonly OwnFile[],
  options: InstallOptions,
  next: (removed: readonly Step[]) => string,
): Promise<void> {
  const steps = planRemoval(files, options.root);
  const removing = steps.filter(({ action }) => action === 'remove');
  if (removing.length === 0) {
    await print(`nothing of ours is there\n${planText(steps)}`);
    return;
  }
  if (!(await agreed(planText(steps), options.yes === true))) return;
  carryOut(steps);
  const left = steps.filter(({ action }) => action === 'leave').map(({ place }) => place);
  await print(`removed${left.length === 0 ? '' : `, but not ${left.join(', ')}`}\n${next(removing)}`);
}
