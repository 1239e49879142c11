"""The two towers in PyTorch, equal to `onnx/src/model/attention.rs` and `onnx/src/model/youtubednn.rs` by equation."""

import torch
import torch.nn.functional as F
from torch import nn


def table(rows: int, dim: int) -> nn.Embedding:
    embedding = nn.Embedding(rows, dim, padding_idx=0)
    nn.init.normal_(embedding.weight, std=0.02)
    with torch.no_grad():
        embedding.weight[0] = 0
    return embedding


class Block(nn.Module):
    """Causal attention with a bias by distance, then SwiGLU; both branches gated."""

    def __init__(self, dim: int, heads: int, length: int, dropout: float, attention_dropout: float):
        super().__init__()
        self.heads, self.dropout, self.attention_dropout = heads, dropout, attention_dropout
        self.attention_norm, self.feed_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.wide, self.narrow = nn.Linear(dim, 4 * dim), nn.Linear(2 * dim, dim)
        self.attention_gate, self.feed_gate = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.distance = nn.Parameter(torch.zeros(heads, length))
        for gate in (self.attention_gate, self.feed_gate):
            nn.init.ones_(gate.bias)

    def forward(self, x, places, size):
        """`x` holds real positions only `[rows, dim]`; `places` says where each is in `[batch, length]`, for attention."""
        batch, length = size
        a = self.qkv(self.attention_norm(x))
        padded = a.new_zeros(batch * length, a.shape[1]).index_copy(0, places, a)
        q, k, v = padded.view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        at = torch.arange(length)
        behind = at[:, None] - at[None, :]
        bias = self.distance[:, behind.clamp(min=0)].masked_fill(behind < 0, float("-inf"))
        # Padding stands behind the real positions, so the causal mask hides it from them.
        rate = self.attention_dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias[None], dropout_p=rate)
        mixed = mixed.transpose(1, 2).reshape(batch * length, -1)[places]
        drop = lambda branch: F.dropout(branch, self.dropout, self.training)
        x = x + drop(self.out(mixed) * torch.sigmoid(self.attention_gate(x)))
        left, right = self.wide(self.feed_norm(x)).chunk(2, dim=-1)
        return x + drop(self.narrow(F.silu(left) * right) * torch.sigmoid(self.feed_gate(x)))


class Attention(nn.Module):
    def __init__(self, data, recipe: dict):
        super().__init__()
        tower = recipe["tower"]["attention"]
        dim = tower["dim"]
        self.scale, self.dropout = dim**0.5, tower["dropout"]
        self.item = table(data.item_count, dim)
        self.content = nn.ModuleList(
            nn.EmbeddingBag(size, dim, mode="sum", padding_idx=0) for size in data.content_sizes
        )
        for bag in self.content:
            nn.init.normal_(bag.weight, std=0.02)
        self.catalog = [torch.from_numpy(ids) for ids in data.content]
        self.value = table(len(tower["value_edges"]) + 2, dim)
        self.gap = table(len(tower["gap_edges"]) + 2, dim)
        self.blocks = nn.ModuleList(
            Block(dim, tower["heads"], recipe["history"], tower["dropout"], tower["attention_dropout"])
            for _ in range(tower["blocks"])
        )
        self.norm = nn.LayerNorm(dim)

    def items(self):
        return self.item.weight + sum(bag(ids) for bag, ids in zip(self.content, self.catalog))

    def loss(self, batch):
        items = self.items()
        x = F.embedding(batch.items, items) + self.value(batch.values) + self.gap(batch.gaps)
        x = F.dropout(self.scale * x, self.dropout, self.training)
        for block in self.blocks:
            x = block(x, batch.places, batch.size)
        logits = self.norm(x) @ items.T
        # Outside the graph, which would copy the logits' gradient: it is zero there anyway.
        with torch.no_grad():
            logits.view(-1).index_fill_(0, batch.watched, float("-inf"))
        return F.cross_entropy(logits, batch.targets)


class YouTubeDnn(nn.Module):
    def __init__(self, data, recipe: dict):
        super().__init__()
        tower = recipe["tower"]["youtubednn"]
        dim = tower["dim"]
        self.item = table(data.item_count, dim)
        self.features = nn.ModuleList(table(size, dim) for size in data.user_sizes)
        self.hidden = nn.Linear((len(data.user_sizes) + 1) * dim, tower["hidden"])
        self.out = nn.Linear(tower["hidden"], dim)

    def loss(self, batch):
        """The positive of each sample is its first candidate `[batch, 1 + negatives]`."""
        parts = [table(ids) for table, ids in zip(self.features, batch.features)]
        parts.append(F.embedding_bag(batch.history, self.item.weight, batch.offsets, mode="sum"))
        users = self.out(F.relu(self.hidden(torch.cat(parts, dim=1))))
        logits = torch.bmm(self.item(batch.candidates), users[:, :, None])[:, :, 0]
        return F.cross_entropy(logits, torch.zeros(len(users), dtype=torch.long))
