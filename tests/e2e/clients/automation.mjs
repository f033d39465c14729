// An Airtable automation's script: `input.config()` is Airtable's, and stands here for what the automation hands in.
const input = { config: () => ({ recordId: process.env.RECORD_ID }) };

const { recordId } = input.config();
const response = await fetch(`${process.env.API}/api/process-record`, {
  method: 'POST',
  headers: { 'Content-Type': 'application/json' },
  body: JSON.stringify({ recordId: recordId })
});
const result = await response.json();
if (!result.success) {
  throw new Error(result.error);
}
console.log(result.data.jobId);
