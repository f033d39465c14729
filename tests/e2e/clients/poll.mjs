// The original README's example 3, unchanged but for the address and the pause, which come from the environment.
const API = process.env.API;

async function waitForJobCompletion(jobId) {
  const statusUrl = `${API}/api/job/${jobId}`;

  while (true) {
    const response = await fetch(statusUrl);
    const data = await response.json();

    if (data.data.status === 'completed') {
      console.log('Job completed!', JSON.stringify(data.data));
      break;
    } else if (data.data.status === 'failed') {
      console.error('Job failed:', data.data.error);
      break;
    }

    console.log('Status:', data.data.status);
    await new Promise(resolve => setTimeout(resolve, Number(process.env.PAUSE_MS)));
  }
}

// Usage
const result = await fetch(`${API}/api/generate-video`, {
  method: 'POST',
  headers: { 'Content-Type': 'application/json' },
  body: JSON.stringify({
    prompt1: "A chef cooking",
    prompt2: "Plating the dish"
  })
});

const { data } = await result.json();
await waitForJobCompletion(data.jobId);
