/** How many engine threads the tests run with: TAPBRIDGE_TEST_THREADS, 1 when it is not set. What is tested is the same. */
export const THREADS = Number(process.env['TAPBRIDGE_TEST_THREADS'] ?? '1');
