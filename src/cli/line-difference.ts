/** What differs between two short texts, line by line, as `diff -u` shows it without its heads: '-' gone, '+' new, ' ' the same. */
const MAX_LINES = 1000;

/** By the longest common subsequence; quadratic, so texts of more than a thousand lines are shown as replaced whole. */
export function lineDifference(before: string, after: string): string {
  const old = linesOf(before);
  const young = linesOf(after);
  if (old.length > MAX_LINES || young.length > MAX_LINES) {
    return [...old.map((line) => `-${line}`), ...young.map((line) => `+${line}`)].join('\n');
  }
  const common = commonLengths(old, young);
  const result: string[] = [];
  let a = 0;
  let b = 0;
  while (a < old.length || b < young.length) {
    if (a < old.length && b < young.length && old[a] === young[b]) {
      result.push(` ${old[a++]}`);
      b++;
    } else if (b >= young.length || (a < old.length && common[a + 1][b] >= common[a][b + 1])) {
      result.push(`-${old[a++]}`);
    } else {
      result.push(`+${young[b++]}`);
    }
  }
  return result.join('\n');
}

/** [a][b]: how many lines old from a on and young from b on have in common. */
function commonLengths(old: readonly string[], young: readonly string[]): number[][] {
  const lengths = Array.from({ length: old.length + 1 }, () => new Array<number>(young.length + 1).fill(0));
  for (let a = old.length - 1; a >= 0; a--) {
    for (let b = young.length - 1; b >= 0; b--) {
      lengths[a][b] = old[a] === young[b] ? lengths[a + 1][b + 1] + 1 : Math.max(lengths[a + 1][b], lengths[a][b + 1]);
    }
  }
  return lengths;
}

function linesOf(text: string): string[] {
  return text === '' ? [] : text.replace(/\n$/, '').split('\n');
}
