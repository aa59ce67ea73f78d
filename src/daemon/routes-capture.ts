/** Captures: a stream of pcapng that goes on until the reader leaves, its limit is reached, or it is ended by its number. */
import { createRoute, type OpenAPIHono } from '@hono/zod-openapi';
import type { CaptureSession } from '../control/capture-session.js';
import type { Control } from '../control/control.js';
import { CAPTURE_HEADER } from '../control/paths.js';
import { nothing, stream } from './answers.js';
import { BridgePath, CapturePath, CaptureQuery, NoQuery } from './schemas.js';

const PCAPNG = 'application/x-pcapng';
const tags = ['capture'];

export const captureRoutes = {
  capture: createRoute({
    method: 'get',
    path: '/v1/bridges/{bridge}/capture',
    operationId: 'capture',
    summary: 'Watch frames as pcapng',
    description: `The header ${CAPTURE_HEADER} of the answer holds the number of the capture.`,
    tags,
    request: { params: BridgePath, query: CaptureQuery },
    responses: stream('Blocks of pcapng as they come; statistics with the frames lost at the end.', PCAPNG),
  }),
  end: createRoute({
    method: 'delete',
    path: '/v1/captures/{capture}',
    operationId: 'endCapture',
    summary: 'End a capture: its stream gets what is left and the statistics',
    tags,
    request: { params: CapturePath, query: NoQuery },
    responses: nothing('It is ended.'),
  }),
};

export function addCaptureRoutes(app: OpenAPIHono, control: Control): void {
  app.openapi(captureRoutes.capture, async (c) => {
    const session = await control.capture(c.req.valid('param').bridge, c.req.valid('query'));
    const headers = { 'content-type': PCAPNG, [CAPTURE_HEADER]: String(session.number) };
    return new Response(streamOf(session), { status: 200, headers }) as never;
  });
  app.openapi(captureRoutes.end, async (c) => {
    await control.endCapture(c.req.valid('param').capture);
    return c.body(null, 204);
  });
}

function streamOf(session: CaptureSession): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const chunk = await session.next();
        if (chunk === null) controller.close();
        else controller.enqueue(chunk);
      },
      cancel: () => session.close(),
    },
    // Nothing is taken from the ring before the reader asks.
    { highWaterMark: 0 },
  );
}
