// The peer as its own documentation runs it: each webhook is verified and applied inside the request.
import { createRequire } from 'node:module'

const require = createRequire(`${process.env.PEER_HOME}/`)
const { fastify } = require('fastify')
const { StripeSync, runMigrations } = require('@supabase/stripe-sync-engine')

// A failed migration is only logged there; here it ends the run.
const logger = {
  info() {},
  error(error) {
    console.error(error)
    process.exit(1)
  },
}
await runMigrations({ databaseUrl: process.env.PEER_DATABASE_URL, schema: 'stripe', logger })
const sync = new StripeSync({
  poolConfig: { connectionString: process.env.PEER_DATABASE_URL, max: 10, keepAlive: true },
  schema: 'stripe',
  stripeSecretKey: 'sk_test_benchmark',
  stripeWebhookSecret: process.env.PEER_SECRET,
  backfillRelatedEntities: false,
})
const server = fastify()
server.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
server.post('/webhooks/stripe', async (request, reply) => {
  await sync.processWebhook(request.body, request.headers['stripe-signature'])
  return reply.send({ received: true })
})
await server.listen({ host: '127.0.0.1', port: Number(process.env.PEER_PORT) })
console.log('peer is listening')
