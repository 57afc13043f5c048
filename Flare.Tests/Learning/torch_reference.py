# Prints the numbers frozen in TorchTests.cs (made with torch 1.13.1). Weights and data follow from integers, so that both sides
# begin with the same bits.
import torch, torch.nn as nn
from collections import OrderedDict

def fill(shape, tensor, scale):
    i = torch.arange(int(torch.tensor(shape).prod()), dtype=torch.int64)
    h = (i * 2654435761 + tensor * 40503 * 65537) % 2**32
    return ((((h >> 16) - 32768).float() / 32768) * scale).reshape(shape)

def train(name, net, x, y, optimizer, steps):
    with torch.no_grad():
        for t, (n, p) in enumerate(net.named_parameters()):
            p.copy_(fill(tuple(p.shape), t + 1, 1 / 16))
    opt = optimizer(net.parameters())
    losses = []
    for _ in range(steps):
        opt.zero_grad()
        loss = nn.CrossEntropyLoss()(net(x), y)
        loss.backward()
        opt.step()
        losses.append(loss.item())
    print(name, "losses", losses)
    for n, v in net.state_dict().items():
        f = v.double().flatten()
        print(f'    ("{n}", {f.sum().item():.9g}, {f.abs().sum().item():.9g}, {f[len(f) // 2].item():.9g}),')

simple = nn.Sequential(OrderedDict(conv1=nn.Conv2d(3, 6, 5), relu1=nn.ReLU(), pool1=nn.MaxPool2d(2), conv2=nn.Conv2d(6, 16, 5), relu2=nn.ReLU(),
    pool2=nn.MaxPool2d(2), flatten=nn.Flatten(), fc1=nn.Linear(400, 120), relu3=nn.ReLU(), fc2=nn.Linear(120, 84), relu4=nn.ReLU(), fc3=nn.Linear(84, 10)))
train("SGD", simple, fill((4, 3, 32, 32), 99, 1), torch.tensor([3, 1, 4, 1]),
    lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01), 3)
normed = nn.Sequential(OrderedDict(conv1=nn.Conv2d(2, 4, 3, stride=2, padding=1), bn1=nn.BatchNorm2d(4), relu1=nn.ReLU(), pool1=nn.AvgPool2d(2), flatten=nn.Flatten(),
    fc1=nn.Linear(16, 5), bn2=nn.BatchNorm1d(5), fc2=nn.Linear(5, 3)))
train("Adam", normed, fill((5, 2, 8, 8), 99, 1), torch.tensor([0, 1, 2, 1, 0]),
    lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.1), 3)
