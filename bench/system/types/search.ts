/** Searches for the largest number that still passes. */

type Passes = (value: number) => Promise<boolean>;

/**
 * Between a number taken to pass and one taken to fail, until the two are closer than `resolution` of the upper one.
 * @param least below it the search gives up
 */
export async function bisect(low: number, high: number, resolution: number, least: number, passes: Passes): Promise<number> {
  let largest = low;
  let failed = high;
  while (failed - largest > resolution * failed && failed > least) {
    const middle = (largest + failed) / 2;
    if (await passes(middle)) largest = middle;
    else failed = middle;
  }
  return largest;
}

/** The same when nobody knows yet whether the upper end passes: it is tried first, and is the result when it does. */
export async function searchUpTo(low: number, limit: number, resolution: number, least: number, passes: Passes): Promise<number> {
  return (await passes(limit)) ? limit : bisect(low, limit, resolution, least, passes);
}
