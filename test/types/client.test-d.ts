// What must and must not compile for users of the typed client; `tsc -p tsconfig.json` checks it.
import { type Client, createClient, type Prediction } from '../../src/client/index.js'

/** As `headrace types` writes it. */
interface Project {
  fraud: {
    inputs: { amount: number | null; country: string }
    outputs: { label: 'legitimate' | 'fraud'; probabilities: { legitimate: number; fraud: number } }
  }
  'breast-cancer': {
    inputs: { 'mean radius': number }
    outputs: { label: 'malignant' | 'benign' }
  }
}

const client: Client<Project> = createClient<Project>({ baseUrl: 'http://127.0.0.1:8080' })
const row = { amount: 12.5, country: 'DE' }

export async function mustCompile(): Promise<void> {
  const one = await client.predict('fraud', row)
  const probability: number = one.outputs.probabilities.fraud
  const label: 'legitimate' | 'fraud' = one.outputs.label

  const rows = [row, { ...row, amount: null }]
  const many = await client.predict('fraud', rows, { unit: ['a', null], entities: { user: '1' } })
  const labels: ('legitimate' | 'fraud' | undefined)[] = many.map((each) => {
    return each.error === undefined ? each.outputs.label : undefined
  })

  await client.predict('breast-cancer', { 'mean radius': 3 }, { unit: 'u', entities: { user: '1' }, timeoutMs: 50 })
  await client.predict('fraud', row, { signal: AbortSignal.timeout(100) })
  await client.infer('fraud', { inputs: [] })

  const loose = createClient()
  const anything: unknown = (await loose.predict('whatever', { any: ['thing'] })).outputs['label']
  void [probability, label, labels, anything]
}

export async function mustNotCompile(): Promise<void> {
  // @ts-expect-error amount is a number
  await client.predict('fraud', { amount: '12', country: 'DE' })
  // @ts-expect-error no such endpoint
  await client.predict('fruad', row)
  // @ts-expect-error country is missing
  await client.predict('fraud', { amount: 12 })
  // @ts-expect-error there is no feature "amout"
  await client.predict('fraud', { amount: 12, country: 'DE', amout: 1 })
  // @ts-expect-error text cannot be missing
  await client.predict('fraud', { amount: 12, country: null })
  // @ts-expect-error features of another endpoint
  await client.predict('breast-cancer', row)
  // @ts-expect-error one row of a list is wrong
  await client.predict('fraud', [row, { amount: 12 }])
  // @ts-expect-error no such option
  await client.predict('fraud', row, { units: 'u' })

  const { outputs } = await client.predict('fraud', row)
  // @ts-expect-error no such class
  outputs.probabilities.fraudulent
  // @ts-expect-error never this label
  outputs.label === 'benign'
  // @ts-expect-error a row of a list may have failed
  ;(await client.predict('fraud', [row])).map((each) => each.outputs.label)
  // @ts-expect-error one row has one unit
  await client.predict('fraud', row, { unit: ['u'] })
  // @ts-expect-error a list of rows gives a list of predictions
  const single: Prediction = await client.predict('fraud', [row])
  // @ts-expect-error one row gives one prediction
  const list: readonly unknown[] = await client.predict('fraud', row)
  // @ts-expect-error an endpoint says what it takes and returns
  createClient<{ fraud: { inputs: object } }>()
  // @ts-expect-error no such endpoint
  await client.infer('other', {})
  void [single, list]
}

interface WithFeatures {
  fraud: {
    entities: { user_id: string | null }
    inputs: { amount: number; spend?: number | null }
    outputs: { label: string }
  }
  plain: { inputs: { amount: number }; outputs: { label: string } }
}

/** An endpoint whose features are looked up is given its entity keys, and need not be given the features. */
export async function entities(): Promise<void> {
  const client = createClient<WithFeatures>()
  const { outputs } = await client.predict('fraud', { amount: 1 }, { entities: { user_id: 'u1' } })
  outputs.label.length
  await client.predict('fraud', [{ amount: 1 }], { entities: [{ user_id: 'u1' }] })
  await client.predict('plain', { amount: 1 })
  // @ts-expect-error the keys are missing
  await client.predict('fraud', { amount: 1 })
  // @ts-expect-error no entity has such a key
  await client.predict('fraud', { amount: 1 }, { entities: { userid: 'u1' } })
}
